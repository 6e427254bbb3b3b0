"""Who gets a storage unit's discharge in one slot, and whose surplus charges it.

All amounts are whole Wh. Members come in ascending order of address: of equal remainders the
lower address gets the watt-hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from energy.shares import split


@dataclass(frozen=True, slots=True)
class Need:
    """What one member's home leaves over in one slot, its own production netted first."""

    import_wh: int
    export_wh: int
    """One of them is 0."""

    cap_wh: int
    """What its session still holds in this slot."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What one member exchanges with the unit in one slot."""

    session_wh: int
    over_wh: int
    """Drawn beyond its session."""

    charge_wh: int


@dataclass(frozen=True, slots=True)
class Shared:
    """One slot of one unit."""

    flows: tuple[Flow, ...]
    """In the order of the needs."""

    unclaimed_wh: int
    """Discharge that no member needed: it went to the grid."""

    spare_charge_wh: int
    """Charge that no member's surplus covers: it came from the grid."""


def share_slot(needs: Sequence[Need], discharge_wh: int, charge_wh: int) -> Shared:
    """Share a unit's metered discharge and charge among its members.

    Discharge goes to net import in proportion, to nobody more than its session holds. What is
    beyond all caps is over-consumption, in proportion to the import that is still uncovered. A
    charge is taken from surplus export in proportion.
    """
    imports = [need.import_wh for need in needs]
    caps = [min(need.import_wh, need.cap_wh) for need in needs]
    sessions = share_capped(discharge_wh, imports, caps)
    left_wh = discharge_wh - sum(sessions)
    uncovered = [wh - got for wh, got in zip(imports, sessions, strict=True)]
    overs = share_capped(left_wh, uncovered, uncovered)
    exports = [need.export_wh for need in needs]
    charges = share_capped(charge_wh, exports, exports)
    flows = tuple(Flow(*one) for one in zip(sessions, overs, charges, strict=True))
    return Shared(flows, left_wh - sum(overs), charge_wh - sum(charges))


def share_capped(amount_wh: int, weights: Sequence[int], caps: Sequence[int]) -> list[int]:
    """Split as much of an amount as the caps let through, in proportion to the weights.

    Whose exact share is above its cap gets the cap; the rest is shared anew among the others,
    by the largest remainder.

    Args:
        amount_wh: What is split, not negative.
        weights: Not negative; a weight of 0 has a cap of 0.
        caps: At most what each gets.

    Returns:
        As many parts as weights; their sum is the amount, or all caps together if that is less.
    """
    parts = [0] * len(weights)
    open_places = [at for at, cap in enumerate(caps) if cap]
    left_wh = amount_wh
    while open_places and left_wh:
        whole = sum(weights[at] for at in open_places)
        full = [at for at in open_places if left_wh * weights[at] >= caps[at] * whole]
        if not full:
            shares = split(left_wh, [weights[at] for at in open_places])
            for at, share in zip(open_places, shares, strict=True):
                parts[at] = share
            return parts
        for at in full:
            parts[at] = caps[at]
            left_wh -= caps[at]
        open_places = [at for at in open_places if not parts[at]]
    return parts
