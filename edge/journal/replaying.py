"""A stretch of the ledger's history, applied anew from genesis: states at both ends, and events."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.journal.inspection import PRUNED_THROUGH
from edge.journal.offline import Reader
from edge.journal.records import decode_outcome
from energy.bills.reported import Reported, reported_by
from tangle.contracts import Contracts
from tangle.errors import DamagedStoreError, NotProvableError
from tangle.genesis import Genesis
from tangle.ledger import Ledger, LedgerRules, genesis_state
from tangle.outcomes import Applied, Event
from tangle.rows import Rows
from tangle.transaction import Operation, TransactionId
from tangle.verification import Verified, parse


@dataclass(frozen=True, slots=True)
class Replayed:
    """What happened in a period."""

    before: Rows
    after: Rows
    events: tuple[Event, ...]
    """Of the operations applied in it, as the journal keeps them."""

    earlier: tuple[Event, ...]
    """Of those applied before it."""

    reports: tuple[Reported, ...] = ()
    """All that were ever applied, of whatever interval."""


def stored_rows(reader: Reader) -> Rows:
    """Return the rows of the ledger as the journal has them."""
    return Rows(dict(reader.rows("SELECT key, value FROM ledger")))


def replay(
    reader: Reader, genesis: Genesis, contracts: Contracts, period_ms: tuple[int, int]
) -> Replayed:
    """Apply a journal's history anew up to the end of a period.

    Args:
        reader: The journal, in one read transaction.
        genesis: Of its network.
        contracts: Of this version.
        period_ms: Ledger time: milestones from the first moment on and before the second.

    Raises:
        NotProvableError: The journal no longer has the whole history.
        DamagedStoreError: A transaction's bytes are not there.
    """
    pruned = reader.value("SELECT value FROM counters WHERE name = ?", (PRUNED_THROUGH,)) or 0
    if pruned:
        raise NotProvableError(f"{reader.path}: history through milestone {pruned} has left it")
    rules = LedgerRules(contracts, genesis.parameters.admission == "open")
    ledger = Ledger(rules, genesis_state(genesis))
    start_ms, end_ms = period_ms
    before = None
    events: list[Event] = []
    earlier: list[Event] = []
    reports: list[Reported] = []
    milestones = list(
        reader.rows(
            "SELECT milestone_index, tx_id, timestamp_ms FROM milestones ORDER BY milestone_index"
        )
    )
    for index, tx_id, timestamp_ms in milestones:
        cone = list(_cone(reader, index))
        reports += [one for part in cone if (one := _report(*part, timestamp_ms)) is not None]
        if timestamp_ms >= end_ms:
            continue  # what is reported of the period comes after it
        if before is None and timestamp_ms >= start_ms:
            before = Rows(dict(ledger.rows.scan(b"")))
        diff = ledger.preview([verified for verified, _ in cone], index, timestamp_ms)
        ledger.commit(diff, TransactionId(tx_id))
        into = earlier if before is None else events
        into += [event for _, found in cone for event in found]
    after = Rows(dict(ledger.rows.scan(b"")))
    begun = after if before is None else before
    return Replayed(begun, after, tuple(events), tuple(earlier), tuple(reports))


def _report(verified: Verified, events: tuple[Event, ...], at_ms: int) -> Reported | None:
    payload = verified.transaction.payload
    if not isinstance(payload, Operation):
        return None
    return reported_by(payload, events, at_ms, verified.tx_id)


def _cone(reader: Reader, index: int) -> Iterator[tuple[Verified, tuple[Event, ...]]]:
    """Yield what a milestone references, in order, and what the journal says came of it."""
    found = reader.rows(
        "SELECT t.tx_id, t.outcome, b.data FROM transactions t LEFT JOIN bodies b USING (number)"
        " WHERE t.milestone_index = ? ORDER BY t.position",
        (index,),
    )
    for tx_id, outcome, data in found:
        if data is None:
            raise DamagedStoreError(f"transaction {tx_id.hex()}: its bytes are not here")
        decoded = decode_outcome(outcome)
        yield parse(data), decoded.events if isinstance(decoded, Applied) else ()
