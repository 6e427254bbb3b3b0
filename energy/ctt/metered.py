"""Energy on tokens, as confirmed meters report it: charged and depleted in order of number."""

from itertools import islice
from typing import Final

import msgspec

from energy.ctt.calls import Consume, Recharge
from energy.ctt.rows import (
    CttMeter,
    account,
    account_key,
    account_row,
    charged_tokens,
    ctt_meter,
    meter_key,
    token,
    token_rows,
    tokens_with_room,
)
from energy.ctt.trading import change_available
from tangle.address import Address
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import MAX_INTEGER

MAX_TOUCHED: Final = 1_000
"""Tokens of one member that one report may change: the work of an operation has an end."""


def recharge(rows: RowReader, call: Recharge, context: Context) -> Changed | Reason:
    """Charge the prosumer's tokens, in order of number, each up to its capacity.

    Returns:
        The changed rows, with the amount that fits nowhere in the event (`refused_wh`); or
        `NOT_CONFIRMED`, `DUPLICATE_REPORT`, `TOO_SMALL`, `CAPACITY` if nothing fits at all,
        `OUT_OF_RANGE` for more energy than the ledger can count, and for the last report number
        there is.
    """
    meter = _reporter(rows, call, context)
    if isinstance(meter, Reason):
        return meter
    draft, prosumer = Draft(rows), Address(meter.prosumer)
    left_wh = _spread(draft, prosumer, call.energy_wh, is_charge=True)
    if left_wh == call.energy_wh:
        return Reason.CAPACITY
    _count_report(draft, context.address, meter, call.report)
    if not change_available(draft, prosumer, call.energy_wh - left_wh):
        return Reason.OUT_OF_RANGE
    event = Event(
        "ctt.recharged",
        (
            ("prosumer", prosumer),
            ("energy_wh", call.energy_wh - left_wh),
            ("refused_wh", left_wh),
        ),
    )
    return Changed(draft.changes, (event,))


def consume(rows: RowReader, call: Consume, context: Context) -> Changed | Reason:
    """Deplete the prosumer's tokens, in order of number, and count what none of them covers.

    Returns:
        The changed rows; or `NOT_CONFIRMED`, `DUPLICATE_REPORT`, `TOO_SMALL`, `OUT_OF_RANGE`
        if what is uncovered in all would leave the range of integers, and for the last report
        number there is.
    """
    meter = _reporter(rows, call, context)
    if isinstance(meter, Reason):
        return meter
    draft, prosumer = Draft(rows), Address(meter.prosumer)
    left_wh = _spread(draft, prosumer, call.energy_wh, is_charge=False)
    _count_report(draft, context.address, meter, call.report)
    change_available(draft, prosumer, left_wh - call.energy_wh)
    if left_wh:
        held = account(draft, prosumer)
        if held.uncovered_wh + left_wh > MAX_INTEGER:
            return Reason.OUT_OF_RANGE
        after = msgspec.structs.replace(held, uncovered_wh=held.uncovered_wh + left_wh)
        draft.put({account_key(prosumer): account_row(after)})
    event = Event(
        "ctt.consumed",
        (
            ("prosumer", prosumer),
            ("energy_wh", call.energy_wh - left_wh),
            ("uncovered_wh", left_wh),
        ),
    )
    return Changed(draft.changes, (event,))


def _reporter(rows: RowReader, call: Recharge | Consume, context: Context) -> CttMeter | Reason:
    """Return the confirmed meter that issued a report which counts."""
    meter = ctt_meter(rows, context.address)
    if meter is None:
        return Reason.NOT_CONFIRMED
    number = _number(meter, call.report)
    if number < meter.next_report:
        return Reason.DUPLICATE_REPORT
    if number >= MAX_INTEGER:  # the next one would no longer be a `Counter`
        return Reason.OUT_OF_RANGE
    return meter if call.energy_wh else Reason.TOO_SMALL


def _number(meter: CttMeter, report: int | None) -> int:
    return meter.next_report if report is None else report


def _count_report(draft: Draft, address: Address, meter: CttMeter, report: int | None) -> None:
    number = _number(meter, report)
    draft.put({meter_key(address): encode(CttMeter(meter.prosumer, number + 1))})


def _spread(draft: Draft, owner: Address, energy_wh: int, *, is_charge: bool) -> int:
    """Charge or deplete an owner's tokens that are not on sale; return what found no place."""
    found = tokens_with_room(draft, owner) if is_charge else charged_tokens(draft, owner)
    left_wh = energy_wh
    for number in list(islice(found, MAX_TOUCHED)):  # writing to them ends a walk
        if not left_wh:
            break
        one = token(draft, number)
        assert one is not None, f"the index names token {number}, which is not there"
        room_wh = one.capacity_wh - one.energy_wh if is_charge else one.energy_wh
        part_wh = min(left_wh, room_wh)
        after_wh = one.energy_wh + (part_wh if is_charge else -part_wh)
        after = msgspec.structs.replace(one, energy_wh=after_wh)
        draft.put(token_rows(number, one, after))
        left_wh -= part_wh
    return left_wh
