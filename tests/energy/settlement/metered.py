"""Homes and a battery, metered: what they do in each slot, and the readings that come of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from energy.settlement.period import settle
from energy.settlement.records import Home, Progress, SessionTerms, Settlement, UnitTerms
from energy.settlement.regimes import Regime, Storage
from energy.settlement.registers import Registers, Series, series_of
from energy.settlement.slots import SLOT_MS, Period
from tangle.address import Address
from tests.energy.town import WHO

START_MS = 1_790_000_000_000 // SLOT_MS * SLOT_MS
NOTHING = Progress({}, {})
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
        return settle(period(self.slots), self.all_homes(), [self.terms], NOTHING)


def storage_terms(
    unit: Sequence[tuple[int, int]], **changes: int | dict[Address, SessionTerms]
) -> UnitTerms:
    """Return the terms of battery U1 of C, 100 kWh and empty unless changed."""
    point = (meter(1, unit),)
    terms = UnitTerms(WHO["U1"], WHO["C"], 100_000, 1_000_000, 0, point, {})
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
        WHO[name]: SessionTerms(draw(st.integers(1, 9_000)), draw(ends))
        for name in draw(st.lists(st.sampled_from((*PEOPLE, "C")), unique=True))
    }
    capacity_wh = draw(st.integers(1, 20_000))
    terms = storage_terms(
        unit,
        capacity_wh=capacity_wh,
        efficiency_ppm=draw(st.integers(1, 1_000_000)),
        stored_wh=draw(st.integers(0, capacity_wh)),
        sessions=sessions,
    )
    return World(slots, homes, unit, terms)
