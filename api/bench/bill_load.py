"""The load of `bench bills`: a month of quarter-hours for members, one after the other."""

from collections.abc import Iterator
from random import Random
from time import process_time
from typing import Final
from zoneinfo import ZoneInfo

from api.bench.figures import Figure
from energy.bills.as_json import bill_file
from energy.bills.covered import covered_sums
from energy.bills.days import day_starts, stretch
from energy.bills.documents import Parties, final_bill, preview
from energy.bills.reported import AppliedReport
from energy.bills.settled import net_day
from energy.bills.tariffs import Tariff
from energy.settlement.netting import NetHome, member_days
from energy.settlement.regimes import Storage
from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import SLOT_MS, LocalDays, Period
from tangle.address import Address, address_of
from tangle.keys import PublicKey
from tangle.transaction import NETWORK_SIZE

SEED: Final = 1
MAX_MONTH_MS: Final = 10_000
"""Wanted for 1,000 members; for others in proportion."""

_START_MS: Final = 1_700_000_000_000


def bill_figures(rounds: int, members: int) -> Iterator[Figure]:
    """Yield how long it takes to bill members for a month."""
    seconds = [_bill_run(members, Random(SEED + at)) for at in range(rounds)]
    yield Figure(
        f"bills.month.{members}",
        "ms",
        tuple(one * 1_000 for one in seconds),
        limit=MAX_MONTH_MS * members / 1_000,
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
