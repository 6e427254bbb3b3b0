"""Homes and a battery, metered: what they do in each slot, and the readings that come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from energy.settlement.netting import NetHome, net
from energy.settlement.period import share_period
from energy.settlement.records import (
    Home,
    Report,
    SessionTerms,
    SlotBalance,
    UnitBalance,
    UnitTerms,
)
from energy.settlement.regimes import Ctt, Regime, Storage
from energy.settlement.registers import Counted, Registers, Series, series_of
from energy.settlement.sharing import Flow
from energy.settlement.slots import SLOT_MS, Period
from tangle.address import Address
from tests.energy.town import WHO

START_MS = 1_790_000_000_000 // SLOT_MS * SLOT_MS
NO_FLOW = Flow(0, 0, 0)
PEOPLE = ("A", "B", "D", "E")


def device(number: int) -> Address:
    return Address(bytes([number]) * 32)


def period(slots: int, start_ms: int = START_MS) -> Period:
    return Period(start_ms, start_ms + slots * SLOT_MS)


def readings(flows: Sequence[tuple[int, int]], start: tuple[int, int] = (0, 0)) -> list[Registers]:
    """Return what a meter reads at every bound of slots with that import and export."""
    import_wh, export_wh = start
    read = [Registers(START_MS, import_wh, export_wh)]
    for at, (more_import_wh, more_export_wh) in enumerate(flows, start=1):
        import_wh, export_wh = import_wh + more_import_wh, export_wh + more_export_wh
        read.append(Registers(START_MS + at * SLOT_MS, import_wh, export_wh))
    return read


def meter(number: int, flows: Sequence[tuple[int, int]]) -> Series:
    return series_of(device(number), readings(flows))


_SUMMED = SlotBalance.__struct_fields__[3:-1]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a node that is home and settling edge at once makes of a period."""

    homes: tuple[NetHome, ...]
    counted: Counted
    balances: tuple[SlotBalance, ...]
    units: tuple[UnitBalance, ...]
    reports: tuple[Report, ...]

    def of(self, name: str) -> dict[str, int]:
        """Return what a member's slots sum up to, zeros left out."""
        mine = [one for one in self.balances if one.member == WHO[name]]
        sums = {field: sum(getattr(one, field) for one in mine) for field in _SUMMED}
        return {field: wh for field, wh in sums.items() if wh}

    def of_unit(self, field: str) -> int:
        return sum(getattr(one, field) for one in self.units)


@dataclass(frozen=True, slots=True)
class World:
    """Some slots of some homes and one unit."""

    slots: int
    homes: tuple[tuple[str, Regime, tuple[tuple[int, int], ...]], ...]
    """Name, regime, and what it produces and uses in each slot."""

    unit: tuple[tuple[int, int], ...]
    """What is charged and discharged in each slot."""

    terms: UnitTerms

    def home(self, at: int) -> Home:
        name, regime, made = self.homes[at]
        net = [(max(0, load - pv), max(0, pv - load)) for pv, load in made]
        grid = meter(2 * at + 2, net)
        pv = meter(2 * at + 3, [(0, pv) for pv, _ in made])
        return Home(WHO[name], regime, ((grid,),), ((pv,),))

    def all_homes(self) -> list[Home]:
        return [self.home(at) for at in range(len(self.homes))]

    def settle(self) -> Settlement:
        return settle(period(self.slots), self.all_homes(), (self.terms, self.unit))


Flows = Mapping[tuple[Regime, Address], Sequence[Flow]]


def settle(
    over: Period,
    homes: Sequence[Home],
    unit: tuple[UnitTerms, Sequence[tuple[int, int]]] | None = None,
    counted: Counted | None = None,
    number: int = 0,
) -> Settlement:
    """Net some homes and share the unit, given by its terms and what its meter counted."""
    points = {} if unit is None else {unit[0].unit: (meter(1, unit[1]),)}
    netted = net(over, homes, points, counted or {})
    if unit is None:
        return Settlement(netted.homes, netted.counted, _balances(netted.homes, over, {}), (), ())
    terms, _ = unit
    members = {one.member: one.slots for one in netted.homes if one.regime == Storage(terms.unit)}
    shared = share_period(over, terms, netted.units[terms.unit], members, number)
    flows: Flows = {(Storage(terms.unit), member): one for member, one in shared.flows.items()}
    balances = _balances(netted.homes, over, flows)
    return Settlement(netted.homes, netted.counted, balances, shared.balances, shared.reports)


def _balances(homes: Sequence[NetHome], over: Period, flows: Flows) -> tuple[SlotBalance, ...]:
    return tuple(
        _balance(home, at, start_ms, flow)
        for home in homes
        for at, (start_ms, flow) in enumerate(
            zip(
                over.slots,
                flows.get((home.regime, home.member), [NO_FLOW] * len(over.slots)),
                strict=True,
            )
        )
    )


def _balance(home: NetHome, at: int, start_ms: int, flow: Flow) -> SlotBalance:
    slot, pv_wh, is_ctt = home.slots[at], home.pv_wh[at], isinstance(home.regime, Ctt)
    grid_wh = slot.import_wh - flow.session_wh - flow.over_wh
    feed_in_wh = slot.export_wh - flow.charge_wh
    return SlotBalance(
        start_ms,
        home.member,
        home.regime,
        pv_wh,
        pv_wh + slot.import_wh - slot.export_wh,
        0 if is_ctt else grid_wh,
        flow.session_wh,
        flow.over_wh,
        0 if is_ctt else feed_in_wh,
        flow.charge_wh,
        grid_wh if is_ctt else 0,
        feed_in_wh if is_ctt else 0,
        slot.is_substitute,
    )


def storage_terms(**changes: int | Mapping[Address, tuple[SessionTerms, ...]]) -> UnitTerms:
    """Return the terms of battery U1 of C, 100 kWh and empty unless changed."""
    terms = UnitTerms(WHO["U1"], WHO["C"], 100_000, 1_000_000, 0, {})
    return replace(terms, **changes)  # type: ignore[arg-type] # by name


WH = st.integers(0, 4_000)


@st.composite
def worlds(draw: st.DrawFn, regimes: Sequence[Regime] = (Storage(WHO["U1"]),)) -> World:
    """Draw up to eight slots of up to four homes and a battery."""
    slots = draw(st.integers(1, 8))
    pairs = st.lists(st.tuples(WH, WH), min_size=slots, max_size=slots).map(tuple)
    names = draw(st.lists(st.sampled_from(PEOPLE), max_size=4, unique=True))
    homes = tuple((name, draw(st.sampled_from(regimes)), draw(pairs)) for name in names)
    unit = draw(pairs)
    ends = st.integers(0, slots + 1).map(lambda at: START_MS + at * SLOT_MS + 1)
    sessions = {
        WHO[name]: tuple(
            SessionTerms(draw(st.integers(1, 9_000)), end)
            for end in sorted(draw(st.lists(ends, min_size=1, max_size=3)))
        )
        for name in draw(st.lists(st.sampled_from((*PEOPLE, "C")), unique=True))
    }
    capacity_wh = draw(st.integers(1, 20_000))
    terms = storage_terms(
        capacity_wh=capacity_wh,
        efficiency_ppm=draw(st.integers(1, 1_000_000)),
        stored_wh=draw(st.integers(0, capacity_wh)),
        sessions=sessions,
    )
    return World(slots, homes, unit, terms)
