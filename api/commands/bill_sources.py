"""Where the commands of bills have days, nodes and sums from."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.bills.billing import require_over, settled_sums
from api.bills.files import read_text
from api.bills.home_records import Records
from api.client.node_client import NodeClient
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout, load_network
from api.settings.records import NodeConfig, http_url
from energy.bills.days import Stretch, day_starts, month_stretch, stretch
from energy.bills.files import parse_sums
from energy.bills.sums import DaySum
from tangle.address import Address
from tangle.keys import SigningKey


@dataclass(frozen=True, slots=True)
class Places:
    """Which nodes are asked about homes, and by what they are believed."""

    layout: Layout
    node: str | None = None
    """The node that is asked about the ledger."""

    homes: tuple[str, ...] = ()
    """Nodes that have the readings, or settle: none for that node, or all of the folder."""

    genesis: Path | None = None


def records_of(places: Places, key: SigningKey) -> list[Records]:
    """Return who is asked about homes, in the name of a key. Raises `CommandError`."""
    genesis = load_genesis(places.genesis or places.layout.genesis_file)
    urls = places.homes or ((places.node,) if places.node is not None else ())
    named = [url for url in urls if url is not None] or [
        http_url(one.http) for one in _configs(places.layout)
    ]
    return [Records(NodeClient(url), key, genesis) for url in named]


def days_of(month: str | None, first: str | None, last: str | None) -> Stretch:
    """Return the days that options name: a month, or from one day to another."""
    if month is not None and first is None and last is None:
        return month_stretch(month)
    if month is None and first is not None and last is not None:
        return stretch(first, last)
    raise bad_argument("which days?", "give either --month YYYY-MM, or --first-day and --last-day")


def zone_named(layout: Layout, name: str | None) -> ZoneInfo | None:
    """Return whose midnights part the days, as told or as the folder's nodes settle.

    `None` if neither says.
    """
    if name is not None:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise bad_argument(f"--zone {name}", f"no such time zone: {error}") from error
    if not layout.network_file.exists():
        return None
    zones = {one.settlement.zone for one in _configs(layout)}
    return ZoneInfo(min(zones)) if len(zones) == 1 else None


def sums_of_file(
    file: Path, period: Stretch, zone: ZoneInfo | None, ledger_ms: int | None
) -> list[DaySum]:
    """Return the sums of a file.

    Args:
        file: CSV.
        period: Which days are billed.
        zone: Whose midnights part them; `None` for UTC.
        ledger_ms: Ledger time, for a final bill: all days must be over.

    Raises:
        CommandError: A day is not over.
        InvalidError: The file is no table of sums.
    """
    sums = parse_sums(read_text(file))
    if ledger_ms is not None:
        require_over(period, day_starts(period, zone or ZoneInfo("UTC")), ledger_ms)
    return sums


def settled_for(
    places: Places, key: SigningKey, customer: Address, period: Stretch, *, is_final: bool
) -> list[DaySum]:
    """Return the sums that settlement made of a customer's days, asked for by an issuer."""
    return settled_sums(records_of(places, key), customer, period, is_final=is_final)


def bad_argument(what: str, why: str) -> CommandError:
    """Return how a command says that its options do not fit."""
    return CommandError(Failure(FailureCode.BAD_ARGUMENT, ExitCode.USAGE, what, why, "see --help"))


def _configs(layout: Layout) -> Iterator[NodeConfig]:
    for edge in load_network(layout).edges:
        yield load_config(NodeConfig, layout.edge_config(edge), os.environ)
