"""What a node settled, out of its journal, for an audit: opened with the node's key."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from api.commands.access_files import open_key_file
from api.settings.layout import Layout
from edge.journal.offline import Reader
from edge.journal.settled import PREFIX, SettledRecords, SharedPeriod
from energy.audit import Equation
from energy.bills.reported import Reported
from energy.powerchain.records import unit_at
from energy.settled_audit import SettledHome, SettledUnit, audit_settled, unknown_settlements
from tangle.address import Address
from tangle.errors import DamagedStoreError, InvalidKeyFileError
from tangle.keys import SigningKey
from tangle.rows import RowReader
from tangle.sequences import is_unused


@dataclass(frozen=True, slots=True)
class SealKey:
    """Where the key is under which a node sealed its settlements."""

    layout: Layout
    file: Path
    passphrase_file: Path | None

    def opened(self) -> SigningKey:
        """Return it. Raises `InvalidKeyFileError`."""
        return open_key_file(self.layout, self.file, self.passphrase_file)


def settled_equations(
    reader: Reader,
    key: SealKey,
    rows: RowReader,
    reports: Sequence[Reported] | None,
    period_ms: tuple[int, int],
) -> list[Equation]:
    """Return the equations between a node's settlements and the ledger; none if it has none.

    Args:
        reader: Its journal, in one read transaction.
        key: Under which they are sealed; if it does not open, nothing is known of them.
        rows: The present state: a period is reported after it is over.
        reports: That were ever applied; `None` if that is not known.
        period_ms: Settled periods that end after the first moment and not after the second.
    """
    names = "SELECT count(*) FROM meta WHERE name >= ? AND name < ?"
    if not reader.value(names, (PREFIX, PREFIX + "~")):
        return []
    if reports is None:
        return unknown_settlements("which reports were applied has left this journal")
    try:
        records = SettledRecords(reader, key.opened())
        homes = records.periods(*period_ms)
        shared = records.shared(*period_ms)
    except InvalidKeyFileError as error:
        return unknown_settlements(f"what the node settled is sealed: {error}")
    except DamagedStoreError as error:
        return unknown_settlements(str(error))
    return audit_settled(
        [SettledHome(one.end_ms, one.members) for one in homes],
        [
            SettledUnit(Address(one.unit), one.start_ms, one.end_ms, one.members, one.own)
            for one in shared
            if _is_reported(rows, one)
        ],
        reports,
    )


def _is_reported(rows: RowReader, period: SharedPeriod) -> bool:
    """Return whether the ledger has all reports of a period: else it is not over."""
    unit = unit_at(rows, Address(period.unit))
    return unit is not None and not any(
        one.number is not None and is_unused(unit.reports, one.number) for one in period.reports
    )
