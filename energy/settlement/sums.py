"""What a home edge tells the settling edge of a storage unit: slot sums by member, no readings.

A home edge fixes the sums of a period once. Whoever settles counts them whenever they come: what
is older than the period being settled falls into its first slot, as late readings do.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import Period
from tangle.address import Address, AddressField
from tangle.transaction import MAX_INTEGER, Counter

SlotLength = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
"""In ms. Slots without a length would all begin where their period ends, which is in no slot."""


class MemberSlots(msgspec.Struct, frozen=True, array_like=True):
    """One member, slot by slot; Wh, its own production netted."""

    member: AddressField
    import_wh: tuple[Counter, ...]
    export_wh: tuple[Counter, ...]
    is_substitute: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        lengths = {len(self.import_wh), len(self.export_wh), len(self.is_substitute)}
        if len(lengths) != 1:
            raise ValueError(f"columns of {sorted(lengths)} slots: they must be of one length")


class SlotSums(msgspec.Struct, frozen=True, array_like=True):
    """The members of one unit whose meters are homed at one node, over one period."""

    start_ms: Counter
    slot_ms: SlotLength
    members: tuple[MemberSlots, ...]
    """At the unit's own settling edge, the unit's meter is among them under its own address."""


def member_slots(member: Address, slots: Sequence[SlotEnergy]) -> MemberSlots:
    """Return slots as they are told."""
    return MemberSlots(
        member,
        tuple([one.import_wh for one in slots]),
        tuple([one.export_wh for one in slots]),
        tuple([one.is_substitute for one in slots]),
    )


def placed(period: Period, told: Iterable[SlotSums]) -> dict[Address, list[SlotEnergy]]:
    """Return what was told as slots of one period, by member.

    What several homes of one member told is added up, import to import and export to export:
    only what is behind one home nets. What is older than the period is in its first slot, which
    is a substitute then.

    Args:
        period: What is settled now; nothing of what was told is after it.
        told: In any order; each only once.
    """
    found: dict[Address, list[SlotEnergy]] = {}
    for sums in told:
        for one in sums.members:
            slots = found.setdefault(one.member, [SlotEnergy() for _ in period.slots])
            for at, slot in enumerate(slots_of(one)):
                place = (sums.start_ms + at * sums.slot_ms - period.start_ms) // period.slot_ms
                late = SlotEnergy(0, 0, is_substitute=place < 0 and slot != SlotEnergy())
                place = max(0, place)
                slots[place] = _added(slots[place], slot, late)
    return found


def slots_of(told: MemberSlots) -> list[SlotEnergy]:
    """Return what was told of one member as slots."""
    columns = zip(told.import_wh, told.export_wh, told.is_substitute, strict=True)
    return [SlotEnergy(*one) for one in columns]


def _added(*parts: SlotEnergy) -> SlotEnergy:
    return SlotEnergy(
        sum(one.import_wh for one in parts),
        sum(one.export_wh for one in parts),
        any(one.is_substitute for one in parts),
    )
