"""One node of the village: intake, journal, settlement, contracts and coordinator, all real.

Only the broker is a queue, other nodes are left out, and time is what the driver says.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from typing_extensions import override

from access.device import Claim, Register, claim_registration
from api.http.service import PeerView
from api.node.node_service import NodeApi, NodeCard
from api.node.span_answers import Home
from api.node.stating import Settlements
from api.settings.records import Settlement, UnitSettlement
from coordinator.issuer import CHECKPOINT_LABEL, Checkpoints, Issue, Issuer
from coordinator.lock import first_lock
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.journal.sealing import sealing_key
from edge.meters.metering import Metering
from edge.meters.proof_keeping import proof_keeper
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.settlement.settings import SettledUnit, SettlingSettings
from edge.settlement.settling import Settling
from energy.units import HOUR_MS
from tangle.accounts import reading_ranges
from tangle.address import Address, address_of
from tangle.effects import Confirmed, Effect
from tangle.genesis import Genesis, genesis_hash, network_id
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.outcomes import Applied, Event, Ignored
from tangle.transaction import Data, Operation, decode
from tests.api.billed_home import Door
from tests.community import CONTRACTS, COORDINATOR
from tests.edge.meters.test_metering import FakeLink
from tests.edge.node.test_executor import FakeGossip
from tests.village.community import EDGE, UNIT

POLL_S: Final = 0.002


class Link(FakeLink):
    """A broker in a queue: readings in, the last receipt of each meter out."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[Address, bytes] = {}

    @override
    def publish_receipt(self, device: Address, data: bytes) -> None:
        self.newest[device] = data


class VillageNode:
    """A node that is home to all meters, settles the battery, and issues the milestones."""

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        zone: ZoneInfo,
        meters: Sequence[tuple[SigningKey, Address]],
    ) -> None:
        """Start anew.

        Args:
            folder: Of the journal.
            genesis: Of the network.
            zone: Whose days.
            meters: Each with its owner; the battery's last.
        """
        self.genesis = genesis
        self.now_ms = genesis.ledger_start_ms
        self.journal = Journal(folder, network_id(genesis))
        self.core = NodeCore(genesis, CONTRACTS, self.journal.restore(genesis, 20))
        gossip = FakeGossip(self.journal)
        self.executor = Executor(self.core, self.journal, gossip, Random(1))
        self.clock = Clock(genesis, lambda: self.now_ms, lambda: 0)
        self.edge = self._issuance(EDGE)
        self._coordinating = self._issuance(COORDINATOR)
        self._issuer = Issuer(self.core, (COORDINATOR,), first_lock(genesis))
        self._issuances: dict[Address, Issuance] = {self.edge.address: self.edge}
        self.link = Link()
        self.devices = tuple(address_of(meter.public) for meter, _ in meters)
        self.metering = Metering(
            self.executor,
            self.edge,
            self.link,
            self.clock,
            [self._enrolment(*one) for one in meters],
            0,
        )
        self._zone = zone
        self.settling: Settling | None = None
        self._pv_meters: frozenset[Address] = frozenset()
        self._gossip = gossip
        self.seen: Counter[str] = Counter()
        self.refused: list[tuple[str, str]] = []
        self.moved_ueur = 0
        """Paid for bills, less what was paid back."""

        self.executor.observe(self._observe)

    def settle_from_now(self, pv_meters: frozenset[Address]) -> None:
        """Let settling begin, of the battery and all homes."""
        self._pv_meters = pv_meters
        settings = SettlingSettings(
            self._zone, HOUR_MS, (SettledUnit(UNIT, UNIT, self.edge),), pv_meters
        )
        self.settling = Settling(
            self.executor,
            self.metering.open_readings,
            self.clock,
            settings,
            self.edge,
            self._gossip,
        )

    def api(self, folder: Path, issuer: Address) -> NodeApi:
        """Return the door of the node, that shows an issuer of bills what was settled."""
        assert self.settling is not None, "begins after the founding"
        settlement = Settlement(
            self._zone.key,
            pv_meters=tuple(self._pv_meters),
            units=(UnitSettlement(UNIT, UNIT, folder / "edge.key"),),
        )
        peers: tuple[PeerView, ...] = ()
        api = NodeApi(
            Door(self, folder, self.genesis),
            NodeCard(EDGE.public, "village", "edge", "1", None),
            lambda: peers,
            sealing_key(EDGE),
        )
        settlements = Settlements(self.journal.settled(EDGE), settlement)
        api.serve_home(Home(sealing_key(EDGE), settlements, frozenset({issuer})))
        return api

    def keep_proofs(self) -> None:
        """Look through the history for what must be kept of it, as a node does beside its work."""
        while proof_keeper(self.core, self.journal).step(self.core.confirmed_index):
            pass

    async def act(self, key: SigningKey, operations: Iterable[Operation]) -> None:
        """Let somebody issue operations; what becomes of them the next milestone says."""
        address = address_of(key.public)
        if address not in self._issuances:
            self._issuances[address] = self._issuance(key)
        for operation in operations:
            await self._issuances[address].issue(operation)

    async def enrol(self, count: int) -> None:
        """Have the ledger know the meters: metering sponsors them by itself."""
        await until(lambda: len(self.journal.own_unreferenced(EDGE.public)) == count)
        await self.confirm()

    async def deliver(self, readings: list[tuple[Address, bytes]]) -> None:
        """Hand readings to the broker, and wait until the ledger has batches of them all."""
        wanted = Counter(device for device, _ in readings)
        counts = {one: self._committed(one) + wanted[one] for one in wanted}
        self.link.posted.put_nowait(readings)
        while any(self._committed(one) < count for one, count in counts.items()):
            await asyncio.sleep(POLL_S)
            if self.core.graph.tip_count:
                await self.confirm()

    async def settle(self) -> None:
        """Step until nothing is left to be settled or reported."""
        assert self.settling is not None, "begins after the founding"
        while True:
            before = self.settling.stand()
            await self.settling.step()
            await self.confirm()
            if self.settling.stand() == before and not self.edge.pending_ids:
                return

    async def confirm(self) -> None:
        """Let the coordinator reference all that waits."""
        while True:
            self.now_ms += 2_000
            now = self.clock.instant()
            step = self._issuer.step(now, self.edge.view(), Random(self.now_ms))
            match step:
                case Checkpoints(pairs):
                    for pair in pairs:
                        await self._coordinating.issue(Data(CHECKPOINT_LABEL, b""), parents=pair)
                case Issue():
                    self.executor.carry_out(self.core.submit(step.data, now), now)
                    if not self.core.graph.tip_count:
                        return
                case _:
                    raise AssertionError(f"a coordinator alone does not {step}")

    def _committed(self, device: Address) -> int:
        return sum(
            one.last - one.first + 1 for one in reading_ranges(self.core.ledger.rows, device).taken
        )

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Confirmed):
                continue
            self.seen.update(event.name for event in effect.ended)
            for tx_id, outcome in effect.outcomes:
                if isinstance(outcome, Applied):
                    self.seen.update(event.name for event in outcome.events)
                    self.moved_ueur += sum(map(_moved_ueur, outcome.events))
                elif isinstance(outcome, Ignored):
                    stored = self.journal.transaction(tx_id)
                    payload = None if stored is None else decode(stored.data).transaction.payload
                    self.refused.append(
                        (getattr(payload, "contract", "batch"), outcome.reason.value)
                    )

    def _issuance(self, key: SigningKey) -> Issuance:
        return Issuance(self.executor, key, self.clock, Random(2), LoadMeter())

    def _enrolment(self, meter: SigningKey, owner: Address) -> Register:
        claim = Claim(
            genesis_hash(self.genesis), meter.public, "meter", owner, address_of(EDGE.public)
        )
        return claim_registration(claim, meter)


def _moved_ueur(event: Event) -> int:
    sign = {"bill.paid": 1, "bill.refunded": -1}.get(event.name, 0)
    return sign * int(dict(event.fields)["amount_ueur"]) if sign else 0


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; the run as a whole has an end."""
    while not condition():  # noqa: ASYNC110 # the state of a core is no event
        await asyncio.sleep(POLL_S)
