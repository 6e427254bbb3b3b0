"""The commands `bench …`: what one core can do, measured where they run.

Time is that of the processor, not of the wall: what else the machine does is not counted, and one
thread's second is one core's.
"""

import os
import platform
from collections import Counter
from collections.abc import Iterator
from random import Random
from statistics import median
from time import process_time
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from api.commands.bench_access import access_figures
from api.contracts import CONTRACTS
from api.terminal.options import add_command, typer_app
from api.terminal.talk import put_json
from energy.bills.as_json import bill_file
from energy.bills.covered import covered_sums
from energy.bills.days import day_starts, stretch
from energy.bills.documents import Parties, final_bill, preview
from energy.bills.reported import AppliedReport
from energy.bills.settled import net_day
from energy.bills.tariffs import Tariff
from energy.market.contract import CONTRACT as MARKET
from energy.settlement.netting import NetHome, member_days
from energy.settlement.regimes import Storage
from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import SLOT_MS, LocalDays, Period
from energy.workload import SHARES, Issued, Workload, order, people, start_rows
from tangle.address import Address, address_of
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

_START_MS: Final = 1_700_000_000_000

app = typer_app("What one core can do.")

Rounds = Annotated[int, typer.Option("--rounds", min=1, max=1_000, help="The median counts.")]
Operations = Annotated[
    int, typer.Option("--operations", min=100, max=50_000, help="In each round.", show_default=True)
]

Members = Annotated[int, typer.Option("--members", min=1, max=100_000, show_default=True)]


def energy(*, rounds: Rounds = 5, operations: Operations = 10_000) -> None:
    """Measure the ledger of energy operations, without signatures: one JSON object per figure.

    A round is a milestone: rules, state trie and roots, as a node computes them.

    Examples:
      tanglewatt bench energy
      tanglewatt bench energy --rounds 15
    """
    machine = _machine()
    for metric, unit, values in _figures(rounds, operations):
        put_json(
            {
                "metric": metric,
                "value": round(median(values)),
                "unit": unit,
                "rounds": rounds,
                "machine": machine,
            }
        )


def bills(*, rounds: Rounds = 3, members: Members = 1_000) -> None:
    """Measure a bill run: a month of 15-minute slots for so many members, one after the other.

    From netted slots and applied reports to the bytes of final bills; one JSON object.

    Examples:
      tanglewatt bench bills
    """
    values = [_bill_run(members, Random(SEED + at)) for at in range(rounds)]
    put_json(
        {
            "metric": f"bills.month.{members}",
            "value": round(median(values) * 1_000),
            "unit": "ms",
            "rounds": rounds,
            "machine": _machine(),
        }
    )


def access(*, rounds: Rounds = 15) -> None:
    """Measure the threshold scheme, in multiples of one scalar multiplication of the same run.

    One JSON object per figure: encapsulate, partial, verify, combine for k = 3 of n = 5.

    Examples:
      tanglewatt bench access
    """
    machine = _machine()
    for metric, unit, values in access_figures(rounds):
        put_json(
            {
                "metric": metric,
                "value": round(median(values), 3),
                "unit": unit,
                "rounds": rounds,
                "machine": machine,
            }
        )


def _bill_run(members: int, rng: Random) -> float:
    """Return how many seconds it takes to bill members for a month, one of them at a time."""
    month = stretch("2026-10-01", "2026-10-31")  # with a day of 100 slots
    starts = day_starts(month, ZoneInfo("Europe/Athens"))
    period = Period(starts[0], starts[-1])
    local = LocalDays(month.first_day, tuple(starts))
    tariffs = [
        Tariff(month.first_day - 30, 250_000, 80_000, 25_000_000, 5_000_000, 190_000),
        Tariff(month.first_day + 14, 270_000, 80_000, 25_000_000, 5_000_000, 190_000),
    ]
    took = 0.0
    for number in range(1, members + 1):
        home = _netted(address_of(PublicKey(number.to_bytes(32, "big"))), starts, rng)
        parties, reports = (
            Parties(bytes(NETWORK_SIZE), Address(bytes(32)), home.member),
            _reports(starts),
        )
        began = process_time()
        days = [net_day(one) for one in member_days([home], period, local)]
        sums = covered_sums(days, reports, (), starts, month.first_day).sums
        bill = final_bill(preview(parties, sums, tariffs, month), number, _START_MS, bytes(32))
        bill_file(bill)
        took += process_time() - began
    return took


def _netted(member: Address, starts: list[int], rng: Random) -> NetHome:
    """Return a home as settlement nets it, slot by slot."""
    draws = [rng.randrange(1_000) for _ in range(64)]
    count = (starts[-1] - starts[0]) // SLOT_MS
    drawn = [draws[at % 64] for at in range(count)]
    slots = tuple(
        SlotEnergy(draw, 0) if at % 3 else SlotEnergy(0, draw) for at, draw in enumerate(drawn)
    )
    return NetHome(member, Storage(Address(bytes(32))), slots, tuple(drawn))


def _reports(starts: list[int]) -> list[AppliedReport]:
    """Return what the ledger applied about a member: two reports a day."""
    return [
        AppliedReport(bytes(32), kind, 3_000, end_ms)
        for end_ms in starts[1:]
        for kind in ("produced", "consumed")
    ]


def _figures(rounds: int, operations: int) -> Iterator[tuple[str, str, list[float]]]:
    """Yield name, unit and the value of each round, one figure after the other."""
    yield "energy.applied", "operations/s", _applied(rounds, operations, tuple(SHARES))
    for kind in SHARES:
        yield f"energy.applied.{kind}", "operations/s", _applied(rounds, operations, (kind,))
    for resting in RESTING:
        yield f"market.orders.{resting}", "orders/s", _orders(rounds, operations, resting)


def _applied(rounds: int, operations: int, kinds: tuple[str, ...]) -> list[float]:
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
    return values


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


def _orders(rounds: int, operations: int, resting: int) -> list[float]:
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
    return values


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


def _machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {python}"


add_command(app, "access", access)
add_command(app, "bills", bills)
add_command(app, "energy", energy)
