"""Energy accounts from end to end: real broker, real meters, real ledger, proofs over the wire.

One community in which a day of ledger time takes two seconds. Alice's meter is a capable one;
Bob's pretends to know of nothing, and draws on.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from access.device import Claim, Register, claim_registration
from coordinator.issuer import sign_milestone
from devices.capable import CapableTerms, decode_state
from devices.meter import MeterIdentity
from devices.outbox import Outbox, read_outbox_state
from devices.shell import MeterConfig, run_meters
from devices.sources.rows import Position, Registers, SourceRow
from edge.ground.clock import Clock, system_wall_ms
from edge.journal.journal import Journal
from edge.meters.metering import Metering
from edge.meters.mqtt import BrokerAddress, MeterLink
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from energy.ctt.calls import (
    BuyEmpty,
    Confirm,
    Create,
    CttCall,
    SignInterruption,
    ctt_operation,
)
from energy.ctt.calls import Register as RegisterMeter
from energy.ctt.rows import account, ctt_meter
from energy.units import DAY_MS
from tangle.accounts import identity
from tangle.address import Address, address_of
from tangle.genesis import Genesis, Parameters, genesis_hash, network_id
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tests.community import (
    CONTRACTS,
    COORDINATOR,
    START_MS,
    VOTER,
    community,
    edge_key,
    member_key,
    meter_key,
)
from tests.edge.meters.test_mqtt import free_port
from tests.edge.node.test_executor import FakeGossip

EDGE: Final = edge_key(0)
ADMIN, OPERATOR, ALICE, BOB = (member_key(number) for number in range(4))
METERS: Final = {ALICE: meter_key(0), BOB: meter_key(1)}
DAY_S: Final = 2
SCALE: Final = DAY_MS // (DAY_S * 1_000)
SLOT_MS: Final = DAY_MS // 4
BEAT_S: Final = 0.3
DEADLINE_S: Final = 120.0


def genesis() -> Genesis:
    """Return a community that begins now, at a midnight of its ledger."""
    parameters = Parameters(work_per_byte=1, time_scale=SCALE)
    plain = community(members=4, parameters=parameters)
    midnight_ms = START_MS // DAY_MS * DAY_MS
    return msgspec.structs.replace(
        plain, created_at_ms=system_wall_ms(), ledger_start_ms=midnight_ms
    )


@dataclass
class Roof:
    """A home that feeds in while there is sun, and draws while there is none."""

    first_ms: int
    is_sunny: bool = False

    def row(self, position: Position) -> SourceRow:
        start_ms = max(position.interval_end_ms, self.first_ms)
        import_wh, export_wh = (0, 300) if self.is_sunny else (300, 0)
        before = position.registers
        after = Registers(before.import_wh + import_wh, before.export_wh + export_wh)
        return SourceRow(start_ms, start_ms + SLOT_MS, after, "measured")

    def bridge(self, _position: Position, _now_ms: int) -> None:
        """Read every slot, however late."""


class Town:
    """One home edge with its broker and both meters."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.genesis = genesis()
        self.network = network_id(self.genesis)
        self.clock = Clock(self.genesis)
        self.core = NodeCore(self.genesis, CONTRACTS)
        self.journal = Journal(folder, self.network)
        self.journal.restore(self.genesis, self.genesis.parameters.reference_depth)
        gossip, rng = FakeGossip(self.journal), Random(1)
        self.executor = Executor(self.core, self.journal, gossip, rng)
        load = LoadMeter()
        self.issuances = {
            key: Issuance(self.executor, key, self.clock, rng, load)
            for key in (EDGE, VOTER, ADMIN, OPERATOR, ALICE, BOB)
        }
        devices = [address_of(key.public) for key in METERS.values()]
        self.link = MeterLink(BrokerAddress("127.0.0.1", port), self.network, devices, "edge")
        enrolments = [self._enrolment(owner, key) for owner, key in METERS.items()]
        edge = self.issuances[EDGE]
        self.metering = Metering(self.executor, edge, self.link, self.clock, enrolments, 200)
        self.roofs = {owner: Roof(self.genesis.ledger_start_ms) for owner in METERS}
        self.is_silent = False

    def _enrolment(self, owner: SigningKey, meter: SigningKey) -> Register:
        edge, whose = address_of(EDGE.public), address_of(owner.public)
        claim = Claim(genesis_hash(self.genesis), meter.public, "meter", whose, edge)
        return claim_registration(claim, meter)

    def outbox(self, owner: SigningKey) -> Path:
        return self.folder / f"{METERS[owner].public.hex()[:8]}.sqlite"

    def config(self, owner: SigningKey) -> MeterConfig:
        key = METERS[owner]
        terms = CapableTerms(self.genesis, key, EDGE.public, ZoneInfo("UTC"))
        return MeterConfig(
            MeterIdentity(self.network, key, EDGE.public),
            self.outbox(owner),
            "127.0.0.1",
            self.port,
            SCALE,
            capable=terms if owner is ALICE else None,
        )

    async def beat(self) -> None:
        """Issue milestones until cancelled."""
        core = self.core
        while True:
            await asyncio.sleep(BEAT_S)
            if self.is_silent:
                continue
            now = self.clock.instant()
            below = core.graph.referenced_at(core.confirmed_index)[-1]
            parents = [core.confirmed_id, *sorted(core.graph.tips)[:7], below][:8]
            drafted = core.draft_milestone(sorted(set(parents)), now.ledger_ms)
            effects = core.submit(sign_milestone(drafted, (COORDINATOR,)).data, now)
            self.executor.carry_out(effects, now)

    async def does(self, key: SigningKey, call: CttCall) -> None:
        """Let somebody make a call, and wait until it is applied."""
        tx_id, _ = await self.issuances[key].issue(ctt_operation(call))

        def is_applied() -> bool:
            stored = self.journal.transaction(tx_id)
            return stored is not None and isinstance(stored.outcome, Applied)

        await until(is_applied)

    async def begin(self) -> None:
        create = Create(address_of(ADMIN.public), address_of(OPERATOR.public), 10, 100_000, 0)
        await self.does(VOTER, create)
        for owner, meter in METERS.items():
            device = address_of(meter.public)
            await until(partial(self.is_registered, device))
            await self.does(owner, BuyEmpty(1))
            await self.does(owner, RegisterMeter(device))
            await self.does(OPERATOR, Confirm(device, address_of(owner.public)))

    def is_registered(self, device: Address) -> bool:
        return identity(self.core.ledger.rows, device) is not None

    def available_wh(self, owner: SigningKey) -> int:
        return account(self.core.ledger.rows, address_of(owner.public)).available_wh

    def import_wh(self, owner: SigningKey) -> int:
        return read_outbox_state(self.outbox(owner)).import_wh

    def produced(self, owner: SigningKey) -> int:
        return read_outbox_state(self.outbox(owner)).produced

    async def readings(self, owner: SigningKey, count: int) -> None:
        """Wait until the meter made so many more."""
        target = self.produced(owner) + count
        await until(lambda: self.produced(owner) >= target)

    def says_w(self, owner: SigningKey) -> int | None:
        relays = self.metering.serving.relays
        return relays[address_of(METERS[owner].public)].said_limit_w

    def disobeys(self, owner: SigningKey) -> bool:
        return self.metering.serving.relays[address_of(METERS[owner].public)].disobeys


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 # the state of a ledger is no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def own_broker(port: int) -> AsyncIterator[None]:
    """Run the embedded broker as a process of its own."""
    script = (
        "import asyncio; from edge.meters.broker import run_broker;"
        f" asyncio.run(run_broker(port={port}))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    try:
        await until(partial(is_open, port))
        yield
    finally:
        process.kill()
        await process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def play(folder: Path, scene: Callable[[Town], Awaitable[None]]) -> Town:
    """Run a town beside a scene, until the scene ends."""

    async def whole() -> Town:
        port = free_port()
        town = Town(folder, port)
        async with own_broker(port), asyncio.TaskGroup() as group:
            meters = [(town.config(owner), town.roofs[owner]) for owner in METERS]
            running = [
                group.create_task(town.metering.run()),
                group.create_task(town.beat()),
            ]
            measuring = group.create_task(run_meters(meters, town.clock.instant))
            await scene(town)
            assert not measuring.done()
            os.kill(os.getpid(), signal.SIGTERM)  # which the meters take: it ends them
            await measuring
            for one in running:
                one.cancel()
        town.journal.close()
        return town

    return asyncio.run(whole())


def test_an_account_drains_and_the_relay_opens_until_it_is_charged(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        town.roofs[ALICE].is_sunny = True
        await town.begin()
        await until(lambda: town.available_wh(ALICE) > 0)
        assert town.says_w(ALICE) is None
        await town.does(ALICE, SignInterruption(0))

        town.roofs[ALICE].is_sunny = False
        await until(lambda: town.says_w(ALICE) == 0)
        assert town.available_wh(ALICE) == 0
        await town.readings(ALICE, 2)  # one of them may have begun before
        dark_wh = town.import_wh(ALICE)
        await town.readings(ALICE, 4)
        assert town.import_wh(ALICE) == dark_wh
        assert not town.disobeys(ALICE)

        town.roofs[ALICE].is_sunny = True
        await until(lambda: town.says_w(ALICE) is None)
        assert town.available_wh(ALICE) > 0

    town = play(tmp_path, scene)

    device = address_of(METERS[ALICE].public)
    with Outbox(town.outbox(ALICE), town.network, device) as outbox:
        state = decode_state(outbox.load_counting())
    known = ctt_meter(town.core.ledger.rows, device)
    assert known is not None
    assert known.next_report >= 3
    assert state.curtailed_wh > 0
    assert state.reports.totals.recharged_wh > 0
    assert state.reports.totals.consumed_wh > 0


def test_a_meter_that_draws_on_is_named_and_one_without_contact_is_not_dark(
    tmp_path: Path,
) -> None:
    async def scene(town: Town) -> None:
        await town.begin()
        await town.does(BOB, SignInterruption(0))
        await town.does(ALICE, SignInterruption(0))
        await until(lambda: town.disobeys(BOB))
        await until(lambda: town.says_w(ALICE) == 0)
        assert not town.disobeys(ALICE)
        assert town.metering.serving.disobeyed > 0

        town.is_silent = True  # no milestone, so no proof
        await until(lambda: town.says_w(ALICE) is None)

    play(tmp_path, scene)
