"""Is a journal what a node wrote? Everything that can be computed anew is, and is compared.

The sweep finds what is no longer what was written. That it was right when it was written is seen
by ids, signatures and roots.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from edge.journal.endings import noted_ended, stray_notes
from edge.journal.entries import TakenReading
from edge.journal.offline import Reader, reported
from edge.journal.records import decode_outcome
from edge.journal.rotations import read_rotations
from edge.journal.schema import SUMMED_VERSION
from edge.journal.sealing import open_sealed
from edge.journal.sweep import sweep
from tangle.accounts import COORDINATORS_KEY, coordinators, genesis_rows
from tangle.anchors import follow_rotations
from tangle.contracts import Contracts, Rules
from tangle.errors import (
    BadMilestoneError,
    DamagedStoreError,
    InvalidError,
    MalformedBytesError,
    StorageError,
)
from tangle.genesis import Genesis, entry_points, network_id
from tangle.ledger import Ledger, LedgerRules, contradictions, genesis_state, milestone_payload
from tangle.merkle import merkle_root
from tangle.outcomes import Applied, Outcome
from tangle.rows import Rows
from tangle.transaction import Milestone, TransactionId
from tangle.trie import Trie
from tangle.verification import (
    Verified,
    parse,
    verify_fields,
    verify_milestone_signatures,
    verify_witness,
)

MAX_NAMED_FAULTS: Final = 20
"""More say nothing new; the count goes on."""

PRUNED_THROUGH: Final = "meta/pruned_through"
"""Counter: last milestone whose cone need not be here."""


@dataclass(slots=True)
class Inspection:
    """What was looked at, and what is wrong with it."""

    transactions: int = 0
    pending: int = 0
    milestones: int = 0
    rows: int = 0
    readings: int = 0
    signatures: int = 0
    """Transactions whose signatures and work were verified."""

    replayed: int = 0
    """Milestones applied anew, from genesis on."""

    opened: int = 0
    """Readings whose seal was opened: none without the key."""

    gaps: list[str] = field(default_factory=list)
    """Readings that were lost with a disk, by device: no fault of this journal."""

    fault_count: int = 0
    faults: list[str] = field(default_factory=list)
    """The first of them, in words."""

    def add(self, fault: str) -> None:
        """Count a fault and name it, if few were named so far."""
        self.fault_count += 1
        if len(self.faults) < MAX_NAMED_FAULTS:
            self.faults.append(fault)


def inspect(
    reader: Reader,
    genesis: Genesis,
    contracts: Contracts,
    *,
    signatures: bool,
    sealing_key: bytes | None = None,
) -> Inspection:
    """Check a whole journal.

    Args:
        reader: The journal, while nobody writes it.
        genesis: Of its network.
        contracts: Of this version.
        signatures: Whether to verify signatures and work: most of the time it takes.
        sealing_key: Opens the readings; without it they are only counted.
    """
    inspector = _Inspector(reader, genesis, contracts, signatures=signatures)
    inspector.sealing_key = sealing_key
    steps = (
        inspector.pages,
        inspector.bodies,
        inspector.cones,
        inspector.state,
        inspector.rotations,
        inspector.readings,
        inspector.counters,
    )
    for step in steps:
        _run(step, inspector.found)
    return inspector.found


def _run(step: Callable[[], None], found: Inspection) -> None:
    """Take a step; what cannot even be read is a fault, and the next step may see another."""
    try:
        step()
    except (DamagedStoreError, StorageError) as error:
        found.add(str(error))
    except (sqlite3.Error, InvalidError, AttributeError, TypeError, ValueError) as error:
        # a damaged page may hand out any type and any bytes in any column
        found.add(f"{step.__name__}: {type(error).__name__}: {error}")


class _Inspector:
    """One check, step by step."""

    def __init__(
        self, reader: Reader, genesis: Genesis, contracts: Contracts, *, signatures: bool
    ) -> None:
        self.found = Inspection()
        self.sealing_key: bytes | None = None
        self._reader = reader
        self._genesis = genesis
        self._signatures = signatures
        parameters = genesis.parameters
        self._rules = Rules(network_id(genesis), parameters.work_per_byte, contracts)
        self._ledger_rules = LedgerRules(contracts, parameters.admission == "open")
        self._pruned_through = 0

    def pages(self) -> None:
        """Look at the file as SQLite does, and at every checksum."""
        with reported(self._reader.path):
            if self._reader.version < SUMMED_VERSION:
                for (line,) in self._reader.rows("PRAGMA integrity_check"):
                    if line != "ok":
                        self.found.add(f"page structure: {line}")
            else:
                for _ in sweep(self._reader.connection, found=self.found.add):
                    pass
        begun = self._reader.value("SELECT value FROM meta WHERE name = 'genesis'")
        if begun is not None and begun != entry_points(self._genesis)[0]:
            self.found.add(f"genesis {begun.hex()}: it is {entry_points(self._genesis)[0].hex()}")
        counter = "SELECT value FROM counters WHERE name = ?"
        self._pruned_through = int(self._reader.value(counter, (PRUNED_THROUGH,)) or 0)

    def bodies(self) -> None:
        """Compute every id anew, and verify what each issuer did."""
        orphans = self._reader.value(
            "SELECT count(*) FROM bodies WHERE number NOT IN (SELECT number FROM transactions)"
        )
        if orphans:
            self.found.add(f"{orphans} bodies belong to no transaction")
        found = self._reader.rows(
            "SELECT t.tx_id, b.data, t.milestone_index"
            " FROM transactions t LEFT JOIN bodies b USING (number) ORDER BY t.number"
        )
        for tx_id, data, index in found:
            self.found.transactions += data is not None
            self.found.pending += index is None
            if data is not None:
                self._body(tx_id, data)
            elif index is None or index > self._pruned_through:
                self.found.add(f"transaction {tx_id.hex()}: its bytes are not here")

    def _body(self, tx_id: bytes, data: bytes) -> None:
        try:
            verified = parse(data)
            if verified.tx_id != tx_id:
                self.found.add(f"transaction {tx_id.hex()}: its bytes are {verified.tx_id.hex()}")
                return
            verify_fields(verified, self._rules)
            if self._signatures and verified.milestone is None:
                verify_witness(verified, self._rules)
                self.found.signatures += 1
        except InvalidError as error:
            self.found.add(f"transaction {tx_id.hex()}: {error}")

    def cones(self) -> None:
        """Hold every milestone against what it references and what it did."""
        ledger = None
        if not self._pruned_through:
            ledger = Ledger(self._ledger_rules, genesis_state(self._genesis))
        previous: tuple[int, bytes] | None = (
            None
            if self._pruned_through
            else (
                0,
                entry_points(self._genesis)[0],
            )
        )
        found = list(
            self._reader.rows(
                "SELECT m.milestone_index, m.tx_id, timestamp_ms, state_root, b.data"
                " FROM milestones m LEFT JOIN transactions t ON t.tx_id = m.tx_id"
                " LEFT JOIN bodies b USING (number)"
                " ORDER BY m.milestone_index"
            )
        )
        for index, tx_id, timestamp_ms, root, data in found:
            self.found.milestones += 1
            if previous is not None and index != previous[0] + 1:
                self.found.add(f"milestone {index} follows {previous[0]}")
            claimed = self._claimed(index, tx_id, data)
            if claimed is not None:
                self._row(claimed, (index, timestamp_ms, root), previous)
                ledger = self._cone(claimed, ledger)
            else:
                ledger = None  # from here on nothing can be applied anew
            previous = (index, tx_id)
        stray = self._reader.value(
            "SELECT count(*) FROM transactions WHERE milestone_index NOT IN"
            " (SELECT milestone_index FROM milestones)"
        )
        if stray:
            self.found.add(f"{stray} transactions are marked with a milestone that is not here")
        for name in stray_notes(self._reader):
            self.found.add(f"note {name}: its milestone is not here")

    def _claimed(self, index: int, tx_id: bytes, data: bytes | None) -> Verified | None:
        """Return the milestone of a row, if its bytes are those of one."""
        if data is None:
            if index > self._pruned_through:
                self.found.add(f"milestone {index}: its bytes are not here")
            return None
        try:
            verified = parse(data)
        except MalformedBytesError:
            return None  # named with the bodies
        if verified.milestone is None or verified.tx_id != tx_id:
            self.found.add(f"milestone {index}: {tx_id.hex()} is none")
            return None
        return verified

    def _row(
        self,
        verified: Verified,
        row: tuple[int, int, bytes],
        previous: tuple[int, bytes] | None,
    ) -> None:
        claimed = verified.milestone
        assert claimed is not None
        if (claimed.index, claimed.timestamp_ms, claimed.state_root) != row:
            self.found.add(f"milestone {row[0]}: its row is not what it says of itself")
        if previous is not None and claimed.previous != previous[1]:
            self.found.add(f"milestone {row[0]}: it does not follow {previous[1].hex()}")

    def _cone(self, verified: Verified, ledger: Ledger | None) -> Ledger | None:
        """Check one milestone's marks; return the ledger after it, if that can be known."""
        claimed = verified.milestone
        assert claimed is not None
        index = claimed.index
        if index <= self._pruned_through:
            return None  # history leaves in small steps: what is still here is no whole cone
        marks = list(
            self._reader.rows(
                "SELECT t.tx_id, t.position, t.outcome, b.data FROM transactions t"
                " LEFT JOIN bodies b USING (number) WHERE t.milestone_index = ?"
                " ORDER BY t.position",
                (index,),
            )
        )
        ids = [tx_id for tx_id, *_ in marks]
        if [position for _, position, *_ in marks] != list(range(len(marks))):
            self.found.add(f"milestone {index}: the order of its cone has gaps")
        if merkle_root(ids) != claimed.inclusion_root:
            self.found.add(f"milestone {index}: inclusion root: not that of what is marked with it")
        outcomes = [decode_outcome(outcome) for _, _, outcome, _ in marks]
        applied = [
            tx_id
            for tx_id, outcome in zip(ids, outcomes, strict=True)
            if isinstance(outcome, Applied)
        ]
        if merkle_root(applied) != claimed.applied_root:
            self.found.add(f"milestone {index}: applied root: not that of what is marked applied")
        if ledger is None or any(data is None for *_, data in marks):
            return None
        if self._signatures:
            self._verify_signatures(verified, ledger)
        ordered = [parse(data) for *_, data in marks]
        return self._applied(
            claimed, verified.tx_id, ledger, list(zip(ordered, outcomes, strict=True))
        )

    def _verify_signatures(self, verified: Verified, ledger: Ledger) -> None:
        try:
            verify_milestone_signatures(verified, coordinators(ledger.rows))
            self.found.signatures += 1
        except BadMilestoneError as error:
            self.found.add(str(error))

    def _applied(
        self,
        claimed: Milestone,
        milestone_id: TransactionId,
        ledger: Ledger,
        marked: list[tuple[Verified, Outcome]],
    ) -> Ledger | None:
        index = claimed.index
        diff = ledger.preview([one for one, _ in marked], index, claimed.timestamp_ms)
        lines = contradictions(claimed, milestone_payload(diff, ledger.milestone_id))
        for line in lines:
            self.found.add(f"milestone {index} applied anew: {line}")
        for (tx_id, computed), (_, stored) in zip(diff.outcomes, marked, strict=True):
            if computed != stored:
                self.found.add(f"transaction {tx_id.hex()}: stored {stored}, computed {computed}")
        noted = noted_ended(self._reader, index)
        if noted is not None and noted != diff.ended:
            self.found.add(f"milestone {index}: noted as its end {noted}, computed {diff.ended}")
        if lines:
            return None
        ledger.commit(diff, milestone_id)
        self.found.replayed += 1
        return ledger

    def state(self) -> None:
        """Hold the rows against the last milestone's state root."""
        rows: dict[bytes, bytes] = dict(self._reader.rows("SELECT key, value FROM ledger"))
        self.found.rows = len(rows)
        begun = self._reader.value("SELECT count(*) FROM meta WHERE name = 'genesis'")
        if not begun and not rows:
            return  # a node that was never started
        root = self._reader.value(
            "SELECT state_root FROM milestones ORDER BY milestone_index DESC LIMIT 1"
        )
        wanted = Trie.of(genesis_rows(self._genesis)).root if root is None else root
        if Trie.of(rows).root != wanted:
            self.found.add(
                f"the ledger's {len(rows)} rows have the root {Trie.of(rows).root.hex()}:"
                f" after the last milestone it is {wanted.hex()}"
            )

    def rotations(self) -> None:
        """Follow the coordinator keys from genesis: they must lead to those of the rows."""
        value = self._reader.value("SELECT value FROM ledger WHERE key = ?", (COORDINATORS_KEY,))
        if value is None:
            return  # a node that was never started; else named with the state
        rotations = read_rotations(self._reader.connection)
        keyring, _ = follow_rotations(rotations, self._genesis)
        _, last = keyring.turns[-1]
        if last != coordinators(Rows({COORDINATORS_KEY: value})):
            self.found.add(
                f"the coordinator keys: the {len(rotations)} changes since genesis do not lead"
                " to those of the ledger"
            )

    def readings(self) -> None:
        """See that no meter's readings lack what was taken, and open them."""
        found = self._reader.rows(
            "SELECT m.device, m.first_sequence, m.last_sequence, count(r.sequence),"
            " min(r.sequence), max(r.sequence) FROM meters m LEFT JOIN readings r"
            " ON r.device = m.device AND r.sequence BETWEEN m.first_sequence AND m.last_sequence"
            " GROUP BY m.device, m.first_sequence ORDER BY m.device, m.first_sequence"
        )
        before: tuple[bytes, int] | None = None
        for device, first, last, count, least, most in found:
            self.found.readings += count
            if (count, least, most) != (last - first + 1, first, last):
                self.found.add(
                    f"meter {device.hex()}: {count} readings from {least} to {most}:"
                    f" {first} to {last} were taken"
                )
            if before is not None and before[0] == device:
                self.found.gaps.append(f"{device.hex()}: {before[1] + 1} to {first - 1}")
            before = (device, last)
        total = self._reader.value("SELECT count(*) FROM readings")
        if total != self.found.readings:
            self.found.add(f"{total - self.found.readings} readings are of unknown meters")
        if self.sealing_key is not None:
            self._open_readings(self.sealing_key)

    def _open_readings(self, key: bytes) -> None:
        for row in self._reader.rows("SELECT device, sequence, sealed FROM readings"):
            try:
                open_sealed(key, TakenReading(*row))
                self.found.opened += 1
            except DamagedStoreError as error:
                self.found.add(str(error))

    def counters(self) -> None:
        """Hold the counters against what was counted."""
        if self._pruned_through:
            return  # they say how much there ever was
        held: dict[str, Any] = dict(self._reader.rows("SELECT name, value FROM counters"))
        counted = {
            "transactions": self.found.transactions,
            "milestones": self.found.milestones,
            "readings": self.found.readings,
        }
        for name, here in counted.items():
            if held.get(name, 0) != here:
                self.found.add(f"counter {name} says {held.get(name, 0)}: {here} are here")
