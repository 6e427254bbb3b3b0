"""The load of `bench energy`: milestones over energy operations, without signatures.

Time is that of the processor, not of the wall: what else the machine does is not counted, and one
thread's second is one core's.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random
from time import process_time
from typing import Final

from api.bench.figures import Figure
from api.contracts import CONTRACTS
from energy.market.contract import CONTRACT as MARKET
from energy.workload import SHARES, Issued, Workload, order, people, start_rows
from tangle.address import address_of
from tangle.contracts import Changed, Context
from tangle.keys import SIGNATURE_SIZE, PublicKey
from tangle.ledger import Ledger, LedgerRules
from tangle.outcomes import Applied
from tangle.restored import Restored
from tangle.rows import Draft, Rows
from tangle.transaction import (
    NETWORK_SIZE,
    NONCE_SIZE,
    VERSION,
    IssuerWitness,
    Transaction,
    TransactionId,
    transaction_id,
)
from tangle.verification import Verified

SEED: Final = 1
MEMBERS: Final = 1_000
RESTING: Final = (5_000, 100_000)
"""Orders in the book before the measured ones arrive."""

WANTED_OPERATIONS: Final = 20_000
WANTED_ORDERS: Final = 50_000
"""Per second."""

_START_MS: Final = 1_700_000_000_000


def energy_figures(rounds: int, operations: int) -> Iterator[Figure]:
    """Yield what one core applies per second, of all kinds together and of each alone."""
    applied = _applied(rounds, operations, tuple(SHARES))
    yield Figure("energy.applied", "operations/s", applied, WANTED_OPERATIONS)
    for kind in SHARES:
        applied = _applied(rounds, operations, (kind,))
        yield Figure(f"energy.applied.{kind}", "operations/s", applied)
    for resting in RESTING:
        posted = _orders(rounds, operations, resting)
        yield Figure(f"market.orders.{resting}", "orders/s", posted, WANTED_ORDERS)


def _applied(rounds: int, operations: int, kinds: tuple[str, ...]) -> tuple[float, ...]:
    """Return operations per second of milestones that hold operations of these kinds."""
    rng = Random(SEED)
    those = people(MEMBERS, rng)
    restored = Restored(0, TransactionId(bytes(32)), _START_MS, start_rows(those), ())
    ledger = Ledger(LedgerRules(CONTRACTS, is_open=False), restored)
    work, numbers = Workload(those, rng), Counter[PublicKey]()
    values = []
    for _ in range(rounds):
        cone = [_numbered(one, numbers) for one in work.mix(operations, kinds)]
        values.append(operations / _milestone(ledger, cone))
    return tuple(values)


def _milestone(ledger: Ledger, cone: list[Verified]) -> float:
    """Let a ledger take over a milestone over `cone`; return how many seconds it took."""
    began = process_time()
    diff = ledger.preview(cone, ledger.index + 1, ledger.timestamp_ms + 1)
    ledger.commit(diff, TransactionId(diff.inclusion_root))
    took = process_time() - began
    refused = [outcome for _, outcome in diff.outcomes if not isinstance(outcome, Applied)]
    assert not refused, f"the workload is wrong: {refused[0]}"
    return took


def _numbered(issued: Issued, numbers: Counter[PublicKey]) -> Verified:
    """Return an operation as it comes out of phase 1, but for signature and work."""
    issuer, operation = issued
    fields = Transaction(
        VERSION, bytes(NETWORK_SIZE), (), issuer, numbers[issuer], _START_MS, operation
    )
    numbers[issuer] += 1
    witness = IssuerWitness(bytes(SIGNATURE_SIZE), bytes(NONCE_SIZE))
    return Verified(transaction_id(fields), b"", fields, witness, 0)


def _orders(rounds: int, operations: int, resting: int) -> tuple[float, ...]:
    """Return orders per second that are posted and matched in a book of so many."""
    rng = Random(SEED)
    those = people(MEMBERS, rng)
    rows = Rows(start_rows(those))
    draft = Draft(rows)
    _post(draft, [order(those.members, rng, crosses=False) for _ in range(resting)], 1)
    rows.apply(draft.changes)
    draft, values = Draft(rows), []
    for index in range(2, 2 + rounds):
        newcomers = [order(those.members, rng) for _ in range(operations)]
        values.append(operations / _post(draft, newcomers, index))
    return tuple(values)


def _post(draft: Draft, orders: list[Issued], index: int) -> float:
    """Let the market decide orders one after the other; return how many seconds it took."""
    calls = [
        (MARKET.decode(operation.call), _context(issuer, index, position))
        for position, (issuer, operation) in enumerate(orders)
    ]
    began = process_time()
    for call, context in calls:
        decided = MARKET.apply(draft, call, context)
        assert isinstance(decided, Changed), f"the workload is wrong: {decided}"
        draft.put(decided.changes)
    return process_time() - began


def _context(issuer: PublicKey, index: int, position: int) -> Context:
    tx_id = TransactionId((index << 64 | position).to_bytes(32, "big"))
    return Context(issuer, address_of(issuer), tx_id, index, _START_MS, position)
