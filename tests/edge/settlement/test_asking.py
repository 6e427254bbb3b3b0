"""What a settling edge makes of answers: whole periods, each once, nothing that it did not ask."""

from pathlib import Path

import msgspec
import pytest

from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.mesh.slot_sums import SumsAnswer, SumsQuery
from edge.settlement import asking
from edge.settlement.asking import ANSWER_MS, ASK_AGAIN_MS, Asking
from edge.settlement.sealed_sums import SumsPart, seal_part
from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import SLOT_MS
from energy.settlement.sums import SlotSums, member_slots
from tangle.effects import PeerId
from tangle.genesis import network_id
from tests.community import START_MS
from tests.edge.node.test_executor import FakeGossip
from tests.edge.settling_home import ANNA, BERT, UNIT_ADDRESS, whose
from tests.edge.settling_village import OTHER
from tests.tangle.cores import EDGE, GENESIS, NOW

HOME = whose(OTHER)
PEER = PeerId(OTHER.public)
END_MS = 4 * SLOT_MS


class Asker:
    """A settling edge that asks one home edge for the first hour."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = START_MS
        self.gossip = FakeGossip(Journal(folder, network_id(GENESIS)))
        clock = Clock(GENESIS, lambda: self.now_ms, lambda: 0)
        self.asking = Asking(self.gossip, clock, EDGE)
        self.ask()

    def ask(self, end_ms: int = END_MS) -> None:
        self.asking.ask(UNIT_ADDRESS, {HOME: 0}, {HOME: PEER}, end_ms)

    @property
    def queries(self) -> list[SumsQuery]:
        return [body for _, body in self.gossip.directed if isinstance(body, SumsQuery)]

    def hear(self, *parts: SumsPart) -> None:
        for part in parts:
            self.asking.hear(PEER, SumsAnswer(part.unit, seal_part(part, EDGE.public)), NOW)

    def told(self, end_ms: int = END_MS) -> tuple[int, list[SlotSums]]:
        return self.asking.told(UNIT_ADDRESS, HOME, end_ms)


@pytest.fixture
def asker(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


def nothing(through_ms: int, after_ms: int = 0) -> SumsPart:
    return SumsPart(HOME, whose(EDGE), UNIT_ADDRESS, after_ms, through_ms, 0, 0, 1, None)


def hour(
    number: int = 0, wh: int = 5, parts: int = 2, after_ms: int | None = None
) -> list[SumsPart]:
    """Return the parts of an hour, of Anna and of Bert."""
    start_ms = number * END_MS
    end_ms = start_ms + END_MS
    slots = [SlotEnergy(wh, 0)] * 4
    members = [(member_slots(whose(one), slots),) for one in (ANNA, BERT)][:parts]
    after = start_ms if after_ms is None else after_ms
    return [
        SumsPart(
            HOME,
            whose(EDGE),
            UNIT_ADDRESS,
            after,
            end_ms,
            end_ms,
            at,
            parts,
            SlotSums(start_ms, SLOT_MS, one),
        )
        for at, one in enumerate(members)
    ]


def test_parts_make_a_period_in_whatever_order_and_however_often_they_come(asker: Asker) -> None:
    first, second = hour()

    asker.hear(second, second)
    before = asker.told()
    asker.hear(first, second, first)

    assert before == (0, [])
    through_ms, (sums,) = asker.told()
    assert through_ms == END_MS
    assert [one.member for one in sums.members] == [whose(ANNA), whose(BERT)]
    assert asker.asking.has_told(UNIT_ADDRESS, HOME, END_MS)


def test_parts_of_two_tellings_are_not_mixed(asker: Asker) -> None:
    """The home edge was restored meanwhile, and settled the hour in one part less."""
    asker.hear(hour()[0])

    asker.hear(*hour(wh=7, parts=1))

    _, (sums,) = asker.told()
    assert [one.member for one in sums.members] == [whose(ANNA)]
    assert sums.members[0].import_wh == (7,) * 4


def test_that_there_is_nothing_is_an_answer(asker: Asker) -> None:
    asker.hear(nothing(END_MS - 1))
    early = asker.asking.has_told(UNIT_ADDRESS, HOME, END_MS)
    asker.hear(nothing(END_MS, END_MS - 1))

    assert not early
    assert asker.told() == (END_MS, [])
    assert asker.asking.has_told(UNIT_ADDRESS, HOME, END_MS)


def test_an_answer_to_an_earlier_query_counts_nothing(asker: Asker) -> None:
    asker.hear(*hour())

    asker.hear(*hour())
    asker.hear(*hour(1, after_ms=0))

    assert len(asker.told(2 * END_MS)[1]) == 1


def test_a_period_after_the_one_that_is_over_waits(asker: Asker) -> None:
    asker.hear(*hour(0), *hour(1))

    assert asker.told()[0] == END_MS
    assert len(asker.told()[1]) == 1
    assert len(asker.told(2 * END_MS)[1]) == 2


def test_an_answer_that_nobody_asked_for_is_not_kept(asker: Asker) -> None:
    asker.hear(*hour())
    asker.asking.forget(UNIT_ADDRESS)

    asker.hear(*hour(1))

    assert asker.told(2 * END_MS) == (0, [])


def test_who_stays_silent_is_waited_for_once_and_not_in_each_period(asker: Asker) -> None:
    may_tell = [asker.asking.may_tell(UNIT_ADDRESS, HOME)]
    asker.now_ms += ANSWER_MS
    may_tell.append(asker.asking.may_tell(UNIT_ADDRESS, HOME))

    asker.asking.forget(UNIT_ADDRESS)  # settled without it
    asker.ask(2 * END_MS)
    may_tell.append(asker.asking.may_tell(UNIT_ADDRESS, HOME))
    asker.hear(*hour())  # it is back: what it has to say next is waited for
    may_tell.append(asker.asking.may_tell(UNIT_ADDRESS, HOME))

    assert may_tell == [True, False, False, True]
    assert len(asker.told(2 * END_MS)[1]) == 1
    assert len(asker.queries) == 2


@pytest.mark.parametrize("change", ["home", "settler", "unit"])
def test_what_names_others_is_refused(asker: Asker, change: str) -> None:
    parts = {"home": HOME, "settler": whose(EDGE), "unit": UNIT_ADDRESS} | {change: whose(ANNA)}
    told = SumsPart(parts["home"], parts["settler"], parts["unit"], 0, END_MS, 0, 0, 1, None)

    asker.asking.hear(PEER, SumsAnswer(UNIT_ADDRESS, seal_part(told, EDGE.public)), NOW)

    assert asker.asking.counts["refused"] == 1
    assert asker.told() == (0, [])


def test_bytes_that_open_and_say_nothing_are_refused(asker: Asker) -> None:
    asker.asking.hear(PEER, SumsAnswer(UNIT_ADDRESS, b"noise"), NOW)

    assert asker.asking.counts["refused"] == 1


def test_the_next_period_is_asked_for_at_once_and_silence_after_a_while(asker: Asker) -> None:
    asker.ask(2 * END_MS)
    asker.hear(*hour())
    asker.ask(2 * END_MS)
    asker.ask(2 * END_MS)
    asker.now_ms += ASK_AGAIN_MS
    asker.ask(2 * END_MS)
    asker.hear(*hour(1))
    asker.ask(2 * END_MS)

    assert [one.after_ms for one in asker.queries] == [0, END_MS, END_MS]


def test_of_one_home_no_more_is_kept_than_a_bound(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MAX_PERIODS", 2)
    far_ms = 9 * END_MS
    for number in range(3):
        asker.now_ms += ASK_AGAIN_MS
        asker.ask(far_ms)
        asker.hear(*hour(number))

    assert [one.after_ms for one in asker.queries] == [0, 0, END_MS]
    assert asker.told(far_ms)[0] == 2 * END_MS
    assert not asker.asking.has_told(UNIT_ADDRESS, HOME, far_ms)


def test_parts_without_an_end_are_not_kept(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home edge tells of more and more, and never of the last part."""
    monkeypatch.setattr(asking, "MAX_PERIOD_BYTES", 3 * len(seal_part(hour()[0], EDGE.public)))
    first, second = hour()
    endless = [msgspec.structs.replace(first, part=at, parts=100) for at in range(4)]

    asker.hear(*endless[:3], *endless[:3])
    refused = asker.asking.counts["refused"]
    asker.hear(endless[3])
    asker.hear(first, second)

    assert refused == 0
    assert asker.asking.counts["refused"] == 1
    assert asker.told()[0] == END_MS
