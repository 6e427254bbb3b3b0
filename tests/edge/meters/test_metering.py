"""Meters at one node: receipts only for what is journalled, batches only of what is registered.

Real core, journal, intake and batcher; only the broker is replaced, by a queue.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from access.device import Claim, Register, claim_registration
from devices.reading import Reading, encode_reading, sign_reading
from devices.receipt import decode_receipt, verify_receipt
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.meters.metering import Metering
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from tangle.accounts import NO_ADDRESS, identity, reading_ranges
from tangle.address import Address, address_of
from tangle.genesis import genesis_hash
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.ranges import ReadingRange
from tests.community import CONTRACTS, START_MS, meter_key
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import EDGE, GENESIS, at, milestone

METER = meter_key(0)
DEVICE = address_of(METER.public)
SLOT_MS = 900_000
DEADLINE_S = 20
POLL_S = 0.01


def enrolment(proof: bytes | None = None) -> Register:
    claim = Claim(genesis_hash(GENESIS), METER.public, "meter", NO_ADDRESS, address_of(EDGE.public))
    call = claim_registration(claim, METER)
    if proof is None:
        return call
    return Register(call.key, call.role, call.owner, call.edge, proof)


def reading(network: bytes, sequence: int, import_wh: int | None = None) -> bytes:
    start_ms = START_MS + sequence * SLOT_MS
    wh = 100 * (sequence + 1) if import_wh is None else import_wh
    plain = Reading(network, DEVICE, sequence, start_ms, start_ms + SLOT_MS, wh, 0, "measured")
    return encode_reading(sign_reading(plain, METER))


class FakeLink:
    """A broker in a queue."""

    def __init__(self) -> None:
        self.posted: asyncio.Queue[list[tuple[Address, bytes]]] = asyncio.Queue()
        self.receipts: list[int] = []
        self.transactions: asyncio.Queue[list[tuple[Address, bytes]]] = asyncio.Queue()
        self.statuses: asyncio.Queue[list[tuple[Address, bytes]]] = asyncio.Queue()
        self.published: dict[str, bytes] = {}
        self.network = b""

    async def run(self) -> None:
        # a node that is started anew waits in another loop
        for name in ("transactions", "statuses"):
            if getattr(self, name).empty():
                setattr(self, name, asyncio.Queue())
        await asyncio.Event().wait()

    async def receive(self) -> list[tuple[Address, bytes]]:
        return await self.posted.get()

    is_connected = True

    def publish(self, topic: str, data: bytes) -> None:
        self.published[topic] = data

    async def receive_transactions(self) -> list[tuple[Address, bytes]]:
        return await self.transactions.get()

    async def receive_statuses(self) -> list[tuple[Address, bytes]]:
        return await self.statuses.get()

    def publish_receipt(self, device: Address, data: bytes) -> None:
        signed = decode_receipt(data)
        verify_receipt(signed, EDGE.public, self.network, device, signed.receipt.through + 1)
        self.receipts.append(signed.receipt.through)


class Home:
    """One node with one meter, started anew as often as wanted from the same folder."""

    def __init__(self, folder: Path, enrolments: Sequence[Register] = (enrolment(),)) -> None:
        self.enrolments = enrolments
        self.now_ms = START_MS
        self.journal = Journal(folder, NodeCore(GENESIS, CONTRACTS).rules.network)
        self.start()

    def start(self) -> None:
        """Take up where the journal stopped, as a new process would."""
        self.core = NodeCore(GENESIS, CONTRACTS, self.journal.restore(GENESIS, 20))
        self.executor = Executor(self.core, self.journal, FakeGossip(self.journal), Random(1))
        self.clock = clock = Clock(GENESIS, lambda: self.now_ms, lambda: 0)
        self.issuance = Issuance(self.executor, EDGE, clock, Random(1), LoadMeter())
        self.link = FakeLink()
        self.link.network = self.core.rules.network
        self.metering = Metering(self.executor, self.issuance, self.link, clock, self.enrolments, 0)

    def run(self, scenario: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run the metering beside a scenario, until the scenario ends."""

        async def both() -> None:
            async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
                serving = group.create_task(self.metering.run())
                await scenario()
                serving.cancel()

        asyncio.run(both())

    def post(self, *payloads: bytes) -> None:
        self.link.posted.put_nowait([(DEVICE, payload) for payload in payloads])

    def confirm(self) -> None:
        """Let a milestone reference all that waits, and the node hear of it."""
        self.now_ms += 2_000
        now = at(self.now_ms - START_MS)
        tips = sorted(self.core.graph.tips)[:7] or [self.core.confirmed_id]
        parents = {*tips, self.core.graph.referenced_at(self.core.confirmed_index)[0]}
        issued = milestone(self.core, sorted(parents)[:7], now.wall_ms - START_MS)
        self.executor.carry_out(self.core.submit(issued.data, now), now)

    def committed(self) -> tuple[ReadingRange, ...]:
        return reading_ranges(self.core.ledger.rows, DEVICE).taken

    def own_pending(self) -> int:
        return len(self.journal.own_unreferenced(EDGE.public))

    async def register(self) -> None:
        """Wait for the registration to be issued, and confirm it."""
        await until(lambda: self.core.graph.tip_count > 0)
        self.confirm()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 # the state of a core is no event
        await asyncio.sleep(POLL_S)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.journal.close()


def test_a_reading_gets_its_receipt_when_it_is_journalled_even_before_registration(
    home: Home,
) -> None:
    async def scenario() -> None:
        home.post(reading(home.link.network, 0), reading(home.link.network, 1))
        await until(lambda: home.link.receipts == [1])

    home.run(scenario)

    assert home.journal.meters() == {DEVICE: ((0, 1),)}
    assert identity(home.core.ledger.rows, DEVICE) is None
    assert home.committed() == ()


def test_readings_are_committed_to_once_the_ledger_knows_the_meter(home: Home) -> None:
    async def scenario() -> None:
        home.post(*(reading(home.link.network, number) for number in range(5)))
        await home.register()
        assert identity(home.core.ledger.rows, DEVICE) is not None
        await until(lambda: home.core.graph.tip_count > 0)
        home.confirm()

    home.run(scenario)

    assert home.committed() == (ReadingRange(0, 4),)
    assert home.metering.batcher.unsettled_count == 0
    (applied,) = home.journal.confirmed_readings()[DEVICE]
    assert (applied.first_sequence, applied.last_sequence) == (0, 4)


def test_what_breaks_a_rule_gets_no_receipt_and_moves_nothing(home: Home) -> None:
    async def scenario() -> None:
        home.post(reading(home.link.network, 0, import_wh=500))
        await until(lambda: home.link.receipts == [0])
        home.post(reading(home.link.network, 1, import_wh=499), b"\xff" * 100)
        home.post(reading(home.link.network, 1, import_wh=500))
        await until(lambda: home.link.receipts[-1] == 1)

    home.run(scenario)

    assert home.metering.intake.counts["refused"] == 2
    assert home.journal.meters() == {DEVICE: ((0, 1),)}


def test_a_repeated_reading_gets_its_receipt_again(home: Home) -> None:
    async def scenario() -> None:
        home.post(reading(home.link.network, 0))
        await until(lambda: home.link.receipts == [0])
        home.post(reading(home.link.network, 0))
        await until(lambda: home.link.receipts == [0, 0])

    home.run(scenario)

    assert home.journal.counts().readings == 1


def test_a_restart_commits_to_what_was_journalled_and_to_nothing_twice(home: Home) -> None:
    async def first() -> None:
        home.post(reading(home.link.network, 0))
        await home.register()
        await until(lambda: home.core.graph.tip_count > 0)

    async def second() -> None:
        assert home.link.receipts == [0]
        home.post(reading(home.link.network, 1))
        await until(lambda: home.metering.batcher.waiting_count == 0 and home.own_pending() == 2)
        home.confirm()

    home.run(first)
    home.start()
    home.run(second)

    assert home.committed() == (ReadingRange(0, 1),)
    spans = [
        (one.first_sequence, one.last_sequence) for one in home.journal.confirmed_readings()[DEVICE]
    ]
    assert spans == [(0, 0), (1, 1)]


def test_a_refused_registration_is_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.meters.metering.REGISTER_RETRY_S", POLL_S)
    home = Home(tmp_path, (enrolment(bytes(64)),))

    async def scenario() -> None:
        await home.register()
        await asyncio.sleep(20 * POLL_S)

    home.run(scenario)

    own = [one for one in home.journal.referenced_by(1) if not isinstance(one.outcome, Applied)]
    assert len(own) == 1
    assert home.journal.own_unreferenced(EDGE.public) == []
    home.journal.close()


def test_the_sealed_readings_open_with_the_nodes_key_only(home: Home) -> None:
    async def scenario() -> None:
        home.post(reading(home.link.network, 0))
        await until(lambda: home.link.receipts == [0])

    home.run(scenario)

    ((sequence, opened),) = home.metering.open_readings(DEVICE, 0, 0)
    assert sequence == 0
    assert opened.signed == reading(home.link.network, 0)
    stored = b"".join(path.read_bytes() for path in home.journal.path.parent.iterdir())
    assert opened.signed not in stored
