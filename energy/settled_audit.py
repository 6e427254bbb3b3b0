"""Do settlement and ledger agree? What a node settled, against what the ledger applied.

The sides come from different places: a home edge says what a home produced and used, the settling
edge what its unit and the grid gave and took, and the ledger which reports were applied.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from energy.audit import Equation
from energy.bills.reported import Reported, ReportKind
from energy.bills.settled import regime_name
from energy.bills.sums import Regime as RegimeName
from energy.settlement.records import MemberDay, SharedDay, UnitDay
from energy.settlement.regimes import Storage
from tangle.address import Address, encode_address

_HOME: Final = "PV + import + discharge = load + export + charge"


@dataclass(frozen=True, slots=True)
class SettledHome:
    """Days of a period that was netted at a home edge."""

    end_ms: int
    members: Sequence[MemberDay]


@dataclass(frozen=True, slots=True)
class SettledUnit:
    """A period of a unit, all of whose reports are over."""

    unit: Address
    start_ms: int
    end_ms: int
    members: Sequence[SharedDay]
    own: Sequence[UnitDay]


@dataclass(frozen=True, slots=True)
class _Unit:
    """All periods of one unit, and the reports of their time."""

    unit: Address
    span: tuple[int, int]
    members: Sequence[SharedDay]
    own: Sequence[UnitDay]
    reports: Sequence[Reported]

    def reported_wh(self, kind: ReportKind, member: Address | None = None) -> int:
        """Return what the ledger applied, about one member or all."""
        return sum(
            one.report.energy_wh
            for one in self.reports
            if one.report.kind == kind and member in (None, one.member)
        )

    def own_wh(self, member: Address, name: str) -> int:
        """Return what of a member's reports is its unit's and not its home's."""
        return sum(getattr(one, name) for one in self.own if one.owner == member)


def audit_settled(
    homes: Sequence[SettledHome], units: Sequence[SettledUnit], reports: Sequence[Reported]
) -> list[Equation]:
    """Return the equations between what one node settled and what the ledger applied.

    Args:
        homes: Of the meters homed there, in order of time.
        units: Settled there; of each without a gap.
        reports: That the ledger applied, of any time and unit.
    """
    known = {one.unit: one for one in _units(units, reports)}
    found: list[Equation] = []
    for unit in known.values():
        found += _flows(unit)
        found += _members(unit)
    return [*found, *_homes(homes, known)]


def unknown_settlements(why: str) -> list[Equation]:
    """Return that nothing is known of homes, and why."""
    return [Equation("home.energy", _HOME, "", None, None, "Wh", why)]


def _units(units: Iterable[SettledUnit], reports: Sequence[Reported]) -> Iterator[_Unit]:
    by_unit: dict[Address, list[SettledUnit]] = {}
    for one in units:
        by_unit.setdefault(one.unit, []).append(one)
    for unit, periods in sorted(by_unit.items()):
        start_ms = min(one.start_ms for one in periods)
        end_ms = max(one.end_ms for one in periods)
        yield _Unit(
            unit,
            (start_ms, end_ms),
            [day for one in periods for day in one.members],
            [day for one in periods for day in one.own],
            [one for one in reports if one.unit == unit and start_ms < one.report.at_ms <= end_ms],
        )


def _flows(unit: _Unit) -> Iterator[Equation]:
    subject = encode_address(unit.unit)
    charged_wh = sum(one.member_charge_wh + one.own_charge_wh for one in unit.own)
    drawn_wh = sum(one.member_draw_wh + one.own_feed_in_wh for one in unit.own)
    says = "charge as settled = charge as reported"
    yield Equation("unit.charge", says, subject, charged_wh, unit.reported_wh("produced"), "Wh")
    says = "discharge as settled = discharge as reported"
    yield Equation("unit.discharge", says, subject, drawn_wh, unit.reported_wh("consumed"), "Wh")


def _members(unit: _Unit) -> Iterator[Equation]:
    """Yield what each member charged and drew, as shared and as reported."""
    for member in sorted({Address(one.member) for one in unit.members}):
        days = [one for one in unit.members if one.member == member]
        subject = f"{encode_address(member)} {encode_address(unit.unit)}"
        drawn_wh = sum(one.session_wh + one.over_wh for one in days)
        says = "discharge shared with it = what it drew as reported"
        reported_wh = _drawn_wh(unit, member)
        yield Equation("home.drawn", says, subject, drawn_wh, reported_wh, "Wh")
        charged_wh = sum(one.charge_wh for one in days)
        says = "charge out of its surplus = what it charged as reported"
        reported_wh = _charged_wh(unit, member)
        yield Equation("home.charged", says, subject, charged_wh, reported_wh, "Wh")


def _drawn_wh(unit: _Unit, member: Address) -> int:
    return unit.reported_wh("consumed", member) - unit.own_wh(member, "own_feed_in_wh")


def _charged_wh(unit: _Unit, member: Address) -> int:
    return unit.reported_wh("produced", member) - unit.own_wh(member, "own_charge_wh")


def _homes(homes: Sequence[SettledHome], units: dict[Address, _Unit]) -> Iterator[Equation]:
    """Yield one equation for each home, over all of its days."""
    days: dict[tuple[Address, RegimeName, Address], list[MemberDay]] = {}
    for period in homes:
        for one in period.members:
            at = Address(one.regime.unit if isinstance(one.regime, Storage) else b"")
            unit = units.get(at)
            if unit is not None and not unit.span[0] < period.end_ms <= unit.span[1]:
                continue  # its unit is not settled so far, or was settled elsewhere
            key = (Address(one.member), regime_name(one.regime), at)
            days.setdefault(key, []).append(one)
    for (member, name, at), found in sorted(days.items()):
        yield _home(f"{encode_address(member)} {name}", member, found, units.get(at))


def _home(subject: str, member: Address, days: Sequence[MemberDay], unit: _Unit | None) -> Equation:
    pv_wh, load_wh = sum(one.pv_wh for one in days), sum(one.load_wh for one in days)
    import_wh, export_wh = (
        sum(one.import_wh for one in days),
        sum(one.export_wh for one in days),
    )
    if unit is None:
        return Equation("home.energy", _HOME, subject, pv_wh + import_wh, load_wh + export_wh, "Wh")
    shared = [one for one in unit.members if one.member == member]
    told = (sum(one.import_wh for one in shared), sum(one.export_wh for one in shared))
    if told != (import_wh, export_wh):
        why = (
            f"its home edge says {import_wh} and {export_wh} Wh, its unit's settling edge has"
            f" counted {told[0]} and {told[1]}: some is late"
        )
        return Equation("home.energy", _HOME, subject, None, None, "Wh", why)
    grid_wh = sum(one.import_wh - one.session_wh - one.over_wh for one in shared)
    feed_in_wh = sum(one.export_wh - one.charge_wh for one in shared)
    left = pv_wh + grid_wh + _drawn_wh(unit, member)
    right = load_wh + feed_in_wh + _charged_wh(unit, member)
    return Equation("home.energy", _HOME, subject, left, right, "Wh")
