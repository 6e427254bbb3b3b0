"""The command `audit`: does everything on a node add up?

`python -m api.commands.audit_main`. It reads the journal, beside a node that runs or of one that
does not: no node has to answer for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from api.bills.files import read_bill, read_text
from api.commands.access_files import PassphraseFile
from api.commands.audit_settled import SealKey, settled_equations
from api.commands.db_main import NodeFile
from api.commands.node_file import load_node_config
from api.commands.operation_commands import AddressBook
from api.contracts import CONTRACTS
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout, load_network
from api.settings.records import Identity
from api.terminal.options import DEFAULT_DATA_DIR, AsJson, DataDir, ending, layout_of, run_single
from api.terminal.talk import put, put_json
from edge.journal.offline import Reader, open_reader
from edge.journal.replaying import replay, stored_rows
from edge.journal.storage import JOURNAL_NAME
from energy.audit import (
    Equation,
    Verdict,
    audit_bills,
    audit_flows,
    audit_home,
    audit_rows,
    unknown_flows,
)
from energy.bills.days import MAX_DAY, Stretch, day_starts, parse_day
from energy.bills.files import parse_sums
from energy.bills.reported import Reported
from tangle.errors import NotProvableError
from tangle.genesis import Genesis, network_id
from tangle.outcomes import Event
from tangle.rows import Rows
from tangle.transaction import MAX_INTEGER

MARKS: Final = {Verdict.HOLDS: "✔", Verdict.BROKEN: "✘", Verdict.UNKNOWN: "?"}

FirstDay = Annotated[
    str | None, typer.Option("--first-day", metavar="YYYY-MM-DD", help="[default: genesis]")
]
LastDay = Annotated[
    str | None, typer.Option("--last-day", metavar="YYYY-MM-DD", help="Included. [default: now]")
]
Zone = Annotated[str, typer.Option("--zone", help="Whose days: Europe/Athens.", show_default=True)]
SumsFiles = Annotated[
    list[str] | None,
    typer.Option("--sums", metavar="WHO=FILE", help="Energy by day of a home; repeat for all."),
]
NodeKey = Annotated[
    Path | None,
    typer.Option("--key-file", help="Opens what the node settled. [default: the node's own]"),
]
BillsFolder = Annotated[
    Path | None, typer.Option("--bills", metavar="FOLDER", help="All documents, *.json.")
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an audit computes with."""

    after: Rows
    flows: list[Equation]
    payments: tuple[Event, ...] | None
    """Events from genesis on; `None` if they are not known."""

    reports: tuple[Reported, ...] | None
    """All that were ever applied; `None` if they are not known."""


def audit(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    zone: Zone = "UTC",
    sums: SumsFiles = None,
    bills: BillsFolder = None,
    config: NodeFile = None,
    key_file: NodeKey = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Compute the equations of energy and money from a node's journal, for any period.

    Exit code 0 only if all hold; 5 if one is broken; 1 if one cannot be computed for want of
    data, which it says.

    Examples:
      tanglewatt audit
      tanglewatt audit --first-day 2026-11-01 --last-day 2026-11-30 --zone Europe/Athens
      tanglewatt audit --sums home_01=november.csv --bills issued/ --json
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        days = _period(first_day, last_day)
        node = _node(config, layout)
        key = SealKey(layout, key_file or node.key_file, passphrase_file or node.passphrase_file)
        genesis = load_genesis(node.genesis_file)
        with open_reader(node.data_dir / JOURNAL_NAME, network_id(genesis)) as reader:
            reader.connection.execute("BEGIN")  # one state, whatever the node writes meanwhile
            bounds_ms = _bounds_ms(days, zone)
            evidence = _evidence(reader, genesis, bounds_ms, last_day)
            settled = settled_equations(
                reader, key, stored_rows(reader), evidence.reports, bounds_ms
            )
        found = [*audit_rows(evidence.after), *evidence.flows, *settled]
        found += _homes(layout, sums or [], days)
        if bills is not None:
            documents = [read_bill(file) for file in sorted(bills.glob("*.json"))]
            found += audit_bills(evidence.after, documents, evidence.payments)
        _say(found, as_json=as_json)


def _node(config: Path | None, layout: Layout) -> Identity:
    if config is None:
        config = layout.edge_config(load_network(layout).edges[0])
    return load_node_config(config, None).node


def _evidence(
    reader: Reader, genesis: Genesis, period_ms: tuple[int, int], last_day: str | None
) -> Evidence:
    stored = stored_rows(reader)
    try:
        replayed = replay(reader, genesis, CONTRACTS, period_ms)
    except NotProvableError as error:
        return Evidence(stored, unknown_flows(str(error)), None, None)
    after = stored if last_day is None else replayed.after
    flows = audit_flows(replayed.before, after, replayed.events)
    payments = (*replayed.earlier, *replayed.events)
    return Evidence(after, flows, payments, replayed.reports)


def _homes(layout: Layout, named: Sequence[str], days: Stretch) -> list[Equation]:
    found: list[Equation] = []
    for one in named:
        who, separator, file = one.partition("=")
        if not separator:
            raise _usage(f"--sums {one}", "must be WHO=FILE")
        known = [sums for sums in parse_sums(read_text(Path(file))) if sums.day in days.days]
        found += audit_home(AddressBook(layout)[who], known)
    return found


def _period(first: str | None, last: str | None) -> Stretch:
    begin = 0 if first is None else parse_day(first)
    after = MAX_DAY if last is None else parse_day(last) + 1
    if begin >= after:
        raise _usage(f"--first-day {first} --last-day {last}", "the period has no day")
    return Stretch(begin, after)


def _bounds_ms(days: Stretch, zone: str) -> tuple[int, int]:
    """Return when a period begins and ends, ledger time."""
    try:
        clock = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _usage(f"--zone {zone}", f"no such time zone: {error}") from error
    first, last = days.first_day, days.after_day
    begin = 0 if first == 0 else day_starts(Stretch(first, first), clock)[0]
    after = MAX_INTEGER if last == MAX_DAY else day_starts(Stretch(last, last), clock)[0]
    return begin, after


def _say(found: Sequence[Equation], *, as_json: bool) -> None:
    """Print the equations; those that do not hold with both sides. Raises `CommandError`."""
    counts = {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}
    if as_json:
        put_json(
            {
                "holds": counts[Verdict.HOLDS] == len(found),
                "counts": {str(verdict): count for verdict, count in counts.items()},
                "equations": [_shown(one) for one in found],
            }
        )
    else:
        for one in found:
            put(_line(one))
    if counts[Verdict.BROKEN]:
        broken = [one for one in found if one.verdict is Verdict.BROKEN]
        raise _failed(FailureCode.NOT_BALANCED, ExitCode.REFUSED, broken)
    if counts[Verdict.UNKNOWN]:
        unknown = [one for one in found if one.verdict is Verdict.UNKNOWN]
        raise _failed(FailureCode.NOT_COMPUTABLE, ExitCode.FAILED, unknown)


def _shown(one: Equation) -> dict[str, object]:
    return {
        "name": one.name,
        "says": one.says,
        "subject": one.subject,
        "left": one.left,
        "right": one.right,
        "unit": one.unit,
        "verdict": str(one.verdict),
        "why_unknown": one.why_unknown,
    }


def _line(one: Equation) -> str:
    subject = f" ({one.subject})" if one.subject else ""
    line = f"{MARKS[one.verdict]} {one.name}{subject}: {one.says}"
    match one.verdict:
        case Verdict.HOLDS:
            return f"{line}: {one.left} {one.unit}".rstrip()
        case Verdict.BROKEN:
            return f"{line}: {one.left} is not {one.right} {one.unit}".rstrip()
        case Verdict.UNKNOWN:
            return f"{line}: not known: {one.why_unknown}"


def _failed(code: FailureCode, exit_code: ExitCode, those: Sequence[Equation]) -> CommandError:
    word = "broken" if code is FailureCode.NOT_BALANCED else "not known"
    first = those[0]
    next_step = (
        "compare with another node; then `tanglewatt db check` says if this journal is sound"
    )
    if code is FailureCode.NOT_COMPUTABLE:
        next_step = "give what is missing: an archive node, --sums with all columns, all documents"
    return CommandError(
        Failure(
            code,
            exit_code,
            f"{len(those)} equations are {word}",
            f"first {first.name} {first.subject}: {first.left} and {first.right} {first.unit}"
            f" {first.why_unknown}".rstrip(),
            next_step,
        )
    )


def _usage(what: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT, ExitCode.USAGE, what, why, "see `tanglewatt audit --help`"
        )
    )


if __name__ == "__main__":
    run_single(audit, "tanglewatt audit")
