"""What a node is told of its settlements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from edge.node.issuance import Issuance
from tangle.address import Address


@dataclass(frozen=True, slots=True)
class SettledUnit:
    """A storage unit that this node settles."""

    unit: Address
    meter: Address
    """Whose registers are its: import is charge, export is discharge."""

    issuance: Issuance
    """With the key that the unit delegates to."""


@dataclass(frozen=True, slots=True)
class SettlingSettings:
    """What a node is told."""

    zone: ZoneInfo
    patience_ms: int
    """Ledger time that a period waits for missing readings once it is over."""

    units: tuple[SettledUnit, ...] = ()
    pv_meters: frozenset[Address] = frozenset()
    """Behind their homes' grid meters: what they count as export is production."""

    replaces: Mapping[Address, Address] = field(default_factory=dict)
    """Which meter a meter was put in place of."""

    @property
    def sums_patience_ms(self) -> int:
        """How long a unit's period waits for other nodes' sums: those wait for readings first."""
        return self.patience_ms + self.patience_ms // 4
