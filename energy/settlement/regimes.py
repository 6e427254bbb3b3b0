"""To which regime a metering point belongs: each to one, so that no watt-hour enters two."""

from collections.abc import Iterable

import msgspec

from energy.ctt.rows import ctt_meter
from energy.powerchain.records import connection_at
from tangle.address import Address, AddressField
from tangle.rows import RowReader


class Storage(msgspec.Struct, frozen=True, array_like=True, tag="storage"):
    """Shares a unit with other members."""

    unit: AddressField


class Ctt(msgspec.Struct, frozen=True, array_like=True, tag="ctt"):
    """Charges and depletes energy accounts."""


class Grid(msgspec.Struct, frozen=True, array_like=True, tag="grid"):
    """Buys from the grid and sells to it."""


Regime = Storage | Ctt | Grid


def regime_of(
    rows: RowReader, meter: Address, owner: Address, units: Iterable[Address], start_ms: int
) -> Regime:
    """Return the regime of one metering point, as the ledger says.

    Args:
        rows: Of the ledger.
        meter: The point's newest device.
        owner: Whose it is.
        units: Those that the ledger has.
        start_ms: When the period began that is settled.

    Returns:
        `ctt` for a meter confirmed for energy accounts; else the unit that its owner joined; else
        the grid. Of several units the one joined last before the period began: who joins another
        within it does not take along what was drawn already.
    """
    if ctt_meter(rows, meter) is not None:
        return Ctt()
    joined = [
        (signed.since_ms, unit)
        for unit in sorted(units)
        if (signed := connection_at(rows, unit, owner)) is not None
    ]
    if not joined:
        return Grid()
    before = [one for one in joined if one[0] <= start_ms]
    return Storage(max(before)[1] if before else min(joined)[1])
