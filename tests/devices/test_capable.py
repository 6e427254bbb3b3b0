"""What a capable meter reports before a real ledger: each watt-hour once, whatever is lost."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.capable import CapableMeter, CapableState, Work
from devices.messages import Tips, read_message, sign_message
from devices.meter import MeterCore, MeterIdentity, MeterLimits, MeterState
from devices.reports import Issued, ReportState, Totals, numbers_of
from devices.sources.rows import Registers, SourceRow
from energy.ctt.calls import Consume, Recharge, decoder
from energy.ctt.standing import verify_standing
from energy.units import DAY_MS
from tangle.effects import Instant
from tangle.transaction import Operation, TransactionId, decode, transaction_id
from tests.community import edge_key
from tests.devices.capable_meter import MIDNIGHT_MS, SLOT_MS, Meter, begun
from tests.devices.homes import SLOT_MS as HOMES_SLOT_MS
from tests.devices.homes import recording
from tests.devices.village import (
    BOB,
    DEVICE,
    EDGE,
    GENESIS,
    INTERVAL_MS,
    METER,
    NETWORK,
    TERMS,
    Village,
    answer,
)


def call_of(data: bytes) -> Recharge | Consume:
    payload = decode(data).transaction.payload
    assert isinstance(payload, Operation)
    call = decoder.decode(payload.call)
    assert isinstance(call, Recharge | Consume)
    return call


def test_a_day_becomes_two_reports_netted_reading_by_reading() -> None:
    village, meter = begun()
    for import_wh, export_wh in ((100, 0), (0, 900), (10, 200), (300, 0)):
        meter.reads(import_wh, export_wh)

    meter.hears(village)

    (first,) = meter.posted
    assert call_of(first) == Recharge(1_090, 0)
    meter.delivers(village)
    village.confirm()
    meter.hears(village)
    (second,) = meter.posted
    assert call_of(second) == Consume(400, 1)
    meter.delivers(village)
    village.confirm()
    meter.hears(village)
    assert not meter.core.is_reporting
    assert meter.state.reports.totals == Totals(recharged_wh=1_090, consumed_wh=400)
    assert village.reported() == (1_090, 400)
    assert village.available_wh() == 600  # of 1,090 Wh 90 fitted on no token


def test_what_fits_on_no_token_at_all_is_fed_in_and_not_offered_again() -> None:
    village, meter = begun(tokens=0)
    for _ in range(4):
        meter.reads(0, 50)

    meter.hears(village)
    meter.delivers(village)
    village.confirm()
    meter.hears(village)

    assert meter.posted == []
    assert meter.state.reports.totals == Totals(refused_wh=200)
    assert village.reported() == (0, 0)


def test_a_period_before_the_meter_was_confirmed_is_the_grid_s() -> None:
    village, meter = Village(), Meter()
    village.confirm(MIDNIGHT_MS - village.ledger_ms)
    for _ in range(4):
        meter.reads(7, 0)

    meter.hears(village)

    assert meter.state.reports.totals == Totals(grid_out_wh=28)


def test_a_period_is_decided_by_a_standing_of_after_its_end() -> None:
    village, meter = begun()
    before = village.standing()
    for _ in range(8):
        meter.reads(7, 0)

    meter.hears(village, standing=before)
    assert meter.posted == []
    village.confirm(DAY_MS)
    meter.hears(village)

    assert [call_of(data).energy_wh for data in meter.posted] == [56]


def test_days_without_contact_come_as_one_sum() -> None:
    village, meter = begun()
    for _ in range(4 * 30 + 1):
        meter.reads(1, 0)
    village.confirm(31 * DAY_MS)

    meter.hears(village)

    assert [call_of(data).energy_wh for data in meter.posted] == [120]
    assert meter.state.reports.deficit_wh == 1


def test_what_the_registers_began_with_is_not_reported() -> None:
    village, meter = begun()
    row = SourceRow(MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS, Registers(5_000_000, 70_000), "measured")

    assert meter.core.read(None, row) == row
    meter.hears(village)

    assert meter.posted == []
    assert meter.accounted_wh() == (0, 0)


def test_a_meter_s_first_reading_is_where_it_begins() -> None:
    capable = CapableMeter(TERMS, CapableState())
    identity = MeterIdentity(NETWORK, METER, EDGE.public)
    core = MeterCore(identity, recording(3), MeterState(), [], MeterLimits(), capable)

    core.tick(Instant(0, 3 * HOMES_SLOT_MS))

    assert core.state.registers == Registers(30, 3)
    assert capable.state.reports.deficit_wh == 18  # two of three readings, 10 and 1 Wh each


def test_a_reading_over_midnight_counts_where_it_ends() -> None:
    village, meter = begun()
    meter.reads(5, 0, DAY_MS - 1)
    meter.reads(7, 0, 2)

    assert meter.state.reports.closed_deficit_wh == 5
    assert meter.state.reports.deficit_wh == 7
    assert meter.state.reports.closed_end_ms == MIDNIGHT_MS
    village.confirm(DAY_MS)
    meter.hears(village)
    assert [call_of(data).energy_wh for data in meter.posted] == [5]


def test_what_was_measured_for_a_former_prosumer_is_not_reported_for_the_next() -> None:
    village, meter = begun()
    for import_wh, export_wh in ((100, 0), (0, 900), (10, 200), (300, 0)):
        meter.reads(import_wh, export_wh)
    meter.hears(village)
    meter.delivers(village)
    village.hand_over(BOB)  # the recharge is applied before, the consumption not issued yet

    meter.hears(village)

    assert meter.posted == []
    assert meter.state.reports.totals == Totals(recharged_wh=1_090, grid_out_wh=400)


def test_an_old_standing_after_a_restart_takes_nothing_back() -> None:
    village, meter = Village(), Meter()
    village.confirm(1_000)
    stranger = village.standing()
    village.begin()
    village.confirm(MIDNIGHT_MS - village.ledger_ms)
    meter.core.connected(village.now())
    for import_wh, export_wh in ((100, 0), (0, 900), (10, 200), (300, 0)):
        meter.reads(import_wh, export_wh)
    meter.hears(village)
    held = meter.state.reports.waiting
    assert len(held) == 2

    meter.restart()
    meter.hears(village, standing=stranger)

    assert meter.state.reports.waiting == held


def test_a_stale_transaction_is_made_anew_under_the_same_numbers() -> None:
    village, meter = begun()
    for _ in range(4):
        meter.reads(7, 0)
    meter.hears(village)
    first = meter.posted.pop()
    for _ in range(12):
        village.confirm()

    meter.hears(village)

    (second,) = meter.posted
    assert call_of(second) == call_of(first)
    old, new = decode(first).transaction, decode(second).transaction
    assert (new.sequence, new.issuer) == (old.sequence, old.issuer)
    assert new.parents != old.parents
    village.take(first)
    village.take(second)
    village.confirm()
    assert village.reported() == (0, 28)


def test_a_refused_transaction_is_made_anew_after_a_pause() -> None:
    village, meter = begun()
    for _ in range(4):
        meter.reads(7, 0)
    meter.hears(village)
    (first,) = meter.posted
    tx_id = transaction_id(decode(first).transaction)
    now = village.now()
    meter.carry_out(meter.core.receive_answer(answer("refused", tx_id, "X"), now), now)
    meter.hears(village)
    assert len(meter.posted) == 1

    due_ms = meter.core.next_wall_ms()
    assert due_ms is not None
    later = village.now(due_ms - now.wall_ms)
    village.confirm()
    meter.carry_out(meter.core.receive_tips(village.tips(), now), now)
    meter.carry_out(meter.core.tick(later), later)

    assert len(meter.posted) == 2
    assert call_of(meter.posted[1]) == call_of(first)


def test_work_that_ended_with_the_connection_is_begun_again() -> None:
    village, meter = begun()
    for _ in range(4):
        meter.reads(7, 0)
    now = village.now()
    meter.core.receive_tips(village.tips(), now)
    effects = meter.core.receive_standing(village.standing(), now)
    assert any(isinstance(one, Work) for one in effects)  # and nobody does it

    meter.core.disconnected()
    again = meter.core.connected(now)

    assert any(isinstance(one, Work) for one in again)


def test_numbers_never_go_back_behind_an_old_standing() -> None:
    village, meter = begun()
    old = verify_standing(village.standing(), GENESIS, DEVICE)
    issued = Issued(3, 5, 1, b"")
    known = ReportState(next_number=4, next_sequence=6)

    assert numbers_of(ReportState(), old) == (0, 0)
    assert numbers_of(known, old) == (4, 6)
    assert numbers_of(ReportState(issued=issued, next_number=3), old) == (3, 5)
    assert meter.posted == []


def test_work_that_a_door_asks_for_is_done() -> None:
    village, meter = begun()
    for _ in range(4):
        meter.reads(7, 0)
    meter.hears(village)
    tx_id = transaction_id(decode(meter.posted[0]).transaction)
    message = read_message(answer("refused", tx_id), EDGE.public, NETWORK)
    asked = sign_message(msgspec.structs.replace(message, more_bits=3), EDGE)
    now = village.now()
    meter.carry_out(meter.core.receive_answer(asked, now), now)

    later = village.now(60_000)
    village.confirm()
    meter.carry_out(meter.core.receive_tips(village.tips(), later), later)
    effects = meter.core.tick(later)

    (work,) = [one for one in effects if isinstance(one, Work)]
    assert work.bits == 3  # this network asks for none


def test_tips_and_answers_of_others_are_not_believed() -> None:
    village, meter = begun()
    now, stranger = village.now(), edge_key(1)
    foreign = Tips(bytes(8), village.parents(), 1)
    unsorted = answer("refused", TransactionId(bytes(32)))

    meter.carry_out(meter.core.receive_tips(village.tips(stranger), now), now)
    meter.carry_out(meter.core.receive_tips(sign_message(foreign, EDGE), now), now)
    meter.carry_out(meter.core.receive_tips(unsorted, now), now)
    meter.carry_out(meter.core.receive_answer(village.tips(), now), now)
    meter.carry_out(
        meter.core.receive_answer(answer("taken", TransactionId(bytes(32)), key=stranger), now), now
    )

    assert len(meter.unbelieved) == 5


class Story:
    """What happens to a meter, by chance: readings, kills, old proofs, milestones."""

    def __init__(self, seed: int, tokens: int, loses: float) -> None:
        self.rng = random.Random(seed)
        self.village, self.meter = begun(tokens)
        self.meter.rng, self.meter.loses = self.rng, loses
        self.standings = [self.village.standing()]
        self.surplus_wh = self.deficit_wh = 0

    def step(self) -> None:
        match self.rng.randrange(6):
            case 0 | 1:
                self.read()
            case 2:
                self.meter.restart()
                now = self.village.now()
                self.meter.carry_out(self.meter.core.connected(now), now)
            case 3:
                self.meter.hears(self.village, standing=self.rng.choice(self.standings))
            case _:
                self.meter.delivers(self.village)
                self.village.confirm(self.rng.choice((INTERVAL_MS, DAY_MS)))
                self.standings.append(self.village.standing())
                self.meter.hears(self.village)

    def read(self) -> None:
        import_wh, export_wh = self.rng.randrange(500), self.rng.randrange(500)
        self.surplus_wh += max(0, export_wh - import_wh)
        self.deficit_wh += max(0, import_wh - export_wh)
        self.meter.reads(import_wh, export_wh, self.rng.choice((SLOT_MS, DAY_MS, 3 * DAY_MS)))

    def end(self) -> None:
        """Lose nothing more, until all that can be reported is."""
        self.meter.loses = 0.0
        for _ in range(60):
            now = self.village.now()
            self.meter.carry_out(self.meter.core.connected(now), now)
            self.meter.delivers(self.village)
            self.village.confirm(DAY_MS)
            self.meter.hears(self.village)


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 3), st.integers(0, 4))
def test_each_watt_hour_is_reported_once_whatever_is_lost(
    seed: int, tokens: int, losses: int
) -> None:
    story = Story(seed, tokens, losses / 5)
    for _ in range(40):
        story.step()
        assert story.meter.accounted_wh() == (story.surplus_wh, story.deficit_wh)

    story.end()

    meter, totals = story.meter, story.meter.state.reports.totals
    assert not meter.core.is_reporting
    assert meter.accounted_wh() == (story.surplus_wh, story.deficit_wh)
    assert story.village.reported() == (totals.recharged_wh, totals.consumed_wh)
    assert (totals.refused_consumed_wh, meter.state.reports.closed_end_ms) == (0, 0)
    register_wh = meter.registers.export_wh - meter.registers.import_wh
    assert story.surplus_wh - story.deficit_wh == register_wh
