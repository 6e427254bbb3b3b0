"""What a home edge tells its capable meters, and takes from them. Only the broker is fake."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.messages import Answer, RelayStatus, Tips, read_message, sign_message
from devices.reading import Reading, encode_reading, sign_reading
from devices.topics import answer_topic, standing_topic, tips_topic
from edge.meters.serving_meters import ServingMeters
from edge.node.local_difficulty import FREE_BURST
from energy.ctt.calls import (
    Confirm,
    Create,
    CttCall,
    Recharge,
    Register,
    SignInterruption,
    ctt_operation,
)
from energy.ctt.standing import verify_standing
from tangle.accounts import sequence_window
from tangle.address import address_of
from tangle.keys import SigningKey
from tangle.transaction import Data, Payload, TransactionId
from tangle.verification import Verified
from tests.community import START_MS, VOTER, member_key, meter_key
from tests.edge.meters.test_metering import DEVICE, METER, SLOT_MS, Home, until
from tests.tangle.cores import EDGE, GENESIS, MAKE

ALICE, OPERATOR = member_key(0), member_key(1)
CALL = Recharge(100, None)


class Town(Home):
    """A home whose meter is registered."""

    @property
    def serving(self) -> ServingMeters:
        return self.metering.serving

    def begin(self) -> None:
        self.run(self.register)

    def made(self, key: SigningKey, payload: Payload) -> Verified:
        number = sequence_window(self.core.ledger.rows, address_of(key.public)).next
        first, second = self.issuance.select_parents()
        return MAKE.transaction(key, number, (first, second), payload, self.now_ms)

    def does(self, key: SigningKey, call: CttCall) -> None:
        made = self.made(key, ctt_operation(call))
        now = self.clock.instant()
        self.executor.carry_out(self.core.submit(made.data, now), now)
        self.confirm()

    def confirm_meter(self) -> None:
        alice, operator = address_of(ALICE.public), address_of(OPERATOR.public)
        self.does(VOTER, Create(alice, operator, 10, 1_000, 0))
        self.does(ALICE, Register(DEVICE))
        self.does(OPERATOR, Confirm(DEVICE, alice))

    def says(self, limit_w: int | None = None, at_ms: int = 1, key: SigningKey = METER) -> None:
        network, device = self.core.rules.network, address_of(METER.public)
        status = RelayStatus(network, device, limit_w, "proof", 0, at_ms, 1)
        self.serving.hear(DEVICE, sign_message(status, key))

    def step(self) -> dict[str, bytes]:
        """Let the edge look once; return what it published, and forget it."""
        asyncio.run(self.serving.step())
        published, self.link.published = self.link.published, {}
        return published

    def answered(self) -> Answer:
        data = self.link.published[answer_topic(self.core.rules.network, DEVICE)]
        answer = read_message(data, EDGE.public, self.core.rules.network)
        assert isinstance(answer, Answer)
        return answer


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    town.begin()
    yield town
    town.journal.close()


def topics(town: Town) -> tuple[str, str]:
    network = town.core.rules.network
    return standing_topic(network, DEVICE), tips_topic(network, address_of(EDGE.public))


def test_nothing_is_told_where_no_meter_is_capable(town: Town) -> None:
    assert town.step() == {}


def test_a_meter_that_says_so_is_told_where_it_stands_with_every_milestone(town: Town) -> None:
    town.says()
    standing, tips = topics(town)

    first = town.step()

    assert verify_standing(first[standing], GENESIS, DEVICE).prosumer is None
    told = read_message(first[tips], EDGE.public, town.core.rules.network)
    assert isinstance(told, Tips)
    assert told.milestone_index == town.core.confirmed_index
    town.confirm()
    second = town.step()
    assert verify_standing(second[standing], GENESIS, DEVICE).milestone.index == 2


def test_a_confirmed_meter_is_told_though_it_says_nothing_also_after_a_restart(town: Town) -> None:
    town.confirm_meter()
    standing, _ = topics(town)

    assert verify_standing(town.step()[standing], GENESIS, DEVICE).prosumer == address_of(
        ALICE.public
    )
    town.start()
    town.confirm()
    assert standing in town.step()


def test_each_milestone_is_told_once_and_a_newcomer_does_not_wait_for_the_next(town: Town) -> None:
    town.says()
    assert town.step() != {}
    assert town.step() == {}

    town.serving.relays.clear()
    town.says()

    assert topics(town)[0] in town.step()


def test_while_the_broker_is_away_nothing_is_told_and_no_order_runs(town: Town) -> None:
    town.confirm_meter()
    town.does(ALICE, SignInterruption(0))
    town.step()
    assert town.serving.relays[DEVICE].limit_w == 0
    town.confirm()
    town.link.is_connected = False

    assert town.step() == {}
    assert town.serving.relays[DEVICE].limit_w is None
    town.link.is_connected = True
    assert topics(town)[0] in town.step()


def posted(town: Town, sequence: int, start_ms: int, import_wh: int) -> bytes:
    network, end_ms = town.core.rules.network, start_ms + SLOT_MS
    plain = Reading(network, DEVICE, sequence, start_ms, end_ms, import_wh, 0, "measured")
    return encode_reading(sign_reading(plain, METER))


def test_readings_that_draw_on_are_held_against_the_meter(town: Town) -> None:
    town.confirm_meter()
    town.does(ALICE, SignInterruption(0))
    town.start()
    town.confirm()
    town.step()

    async def scene() -> None:
        starts = [START_MS + at * SLOT_MS for at in range(4)]
        town.post(*(posted(town, at, start, 100 * at) for at, start in enumerate(starts)))
        await until(lambda: town.serving.relays[DEVICE].in_a_row == 3)

    town.run(scene)

    assert town.serving.relays[DEVICE].disobeys
    assert town.serving.disobeyed == 2


def test_what_was_drawn_between_two_readings_may_be_of_before_the_order(town: Town) -> None:
    town.confirm_meter()
    town.does(ALICE, SignInterruption(0))
    town.start()
    town.confirm()
    town.step()

    async def scene() -> None:
        later = START_MS + SLOT_MS
        town.post(posted(town, 0, START_MS - SLOT_MS, 0), posted(town, 1, later, 900))
        await until(lambda: 1 in town.link.receipts)

    town.run(scene)

    assert town.serving.relays[DEVICE].in_a_row == 0


def test_what_others_say_of_a_relay_is_not_believed(town: Town) -> None:
    town.says(0, key=meter_key(1))
    town.serving.hear(DEVICE, b"garbage")
    town.serving.hear(address_of(meter_key(1).public), b"not homed here")
    network, neighbour = town.core.rules.network, address_of(meter_key(1).public)
    foreign = RelayStatus(network, neighbour, 0, "proof", 0, 1, 1)
    town.serving.hear(DEVICE, sign_message(foreign, METER))
    tips = Tips(network, (bytes(32), bytes(31) + b"\x01"), 1)
    town.serving.hear(DEVICE, sign_message(tips, METER))

    assert town.serving.relays == {}


def test_the_newest_word_about_a_relay_counts(town: Town) -> None:
    town.says(0, at_ms=5)
    town.says(None, at_ms=4)

    assert town.serving.relays[DEVICE].said_limit_w == 0
    town.says(None, at_ms=6)
    assert town.serving.relays[DEVICE].said_limit_w is None


def test_a_meter_s_transaction_is_journalled_answered_and_its_outcome_told(town: Town) -> None:
    town.confirm_meter()
    refused = town.made(METER, ctt_operation(CALL))

    town.serving.take(DEVICE, refused.data)

    assert (town.answered().said, town.answered().tx_id) == ("taken", refused.tx_id)
    assert town.journal.transaction(refused.tx_id) is not None
    town.confirm()
    assert (town.answered().said, town.answered().code) == ("ignored", "CAPACITY")
    note = town.made(METER, Data("note", b""))
    town.serving.take(DEVICE, note.data)
    town.serving.take(DEVICE, note.data)  # the answer was lost
    assert town.answered().said == "taken"


def test_what_is_no_transaction_of_the_meter_is_refused_with_its_reason(town: Town) -> None:
    foreign = town.made(ALICE, Data("note", b""))
    unknown = MAKE.transaction(
        METER, 0, (TransactionId(bytes(32)), TransactionId(b"\1" * 32)), Data("note", b"")
    )
    for data, code in (
        (foreign.data, "BadSignatureError"),
        (b"garbage", "MalformedBytesError"),
        (unknown.data, "UnknownParentsError"),
    ):
        town.serving.take(DEVICE, data)

        assert (town.answered().said, town.answered().code) == ("refused", code)
    assert town.journal.transaction(foreign.tx_id) is None


def test_a_meter_that_floods_is_asked_for_more_work(town: Town) -> None:
    first, second = town.issuance.select_parents()
    for number in range(FREE_BURST + 1):
        made = MAKE.transaction(METER, number, (first, second), Data("note", b""), town.now_ms)
        town.serving.take(DEVICE, made.data)
        if town.answered().said == "refused":
            break

    assert town.answered().code == "MoreWorkNeededError"
    assert town.answered().more_bits >= 1
    assert sum(1 for _ in town.core.graph.vertices()) > FREE_BURST


def test_the_door_is_served_beside_the_readings(town: Town) -> None:
    town.start()  # its queues belong to one loop
    note = town.made(METER, Data("note", b""))

    async def scene() -> None:
        town.link.transactions.put_nowait([(DEVICE, note.data)])
        await until(lambda: town.core.is_known(note.tx_id))

    town.run(scene)
