"""A node that settles two homes and a battery: real core, journal and ledger, no broker."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from access.device import Claim, claim_registration, register_operation
from devices.reading import SALT_SIZE, Quality, Reading, encode_reading, sign_reading
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.journal.sealing import NONCE_SIZE, SaltedReading, open_sealed, seal, sealing_key
from edge.journal.settled import SettledPeriod, SharedPeriod, UnitState
from edge.node.executor import Executor, Gossip
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.settlement.settings import SettledUnit, SettlingSettings
from edge.settlement.settling import Settling
from energy.governance.acts import RegisterUnit, RemoveUnit, SetParameter, Vote
from energy.governance.contract import vote_operation
from energy.powerchain.calls import Connect, Delegate, energy_operation
from energy.powerchain.records import StorageUnit, unit_at
from tangle.address import Address, address_of
from tangle.effects import Confirmed
from tangle.genesis import genesis_hash, network_id
from tangle.hashing import digest
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.transaction import Operation, TransactionId, decode
from tests.community import CONTRACTS, START_MS, VOTER, member_key, meter_key
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import EDGE, GENESIS, at, milestone

HOUR_MS: Final = 3_600_000
FIRST_MS: Final = (START_MS // HOUR_MS + 1) * HOUR_MS
"""Where the first whole hour of the ledger begins."""

UNIT: Final = meter_key(9)
ANNA, BERT, OWNER = (member_key(number) for number in range(3))
METERS: Final = {ANNA: meter_key(0), BERT: meter_key(1), OWNER: UNIT}
UNIT_ADDRESS: Final = address_of(UNIT.public)
DEADLINE_S: Final = 60


def whose(key: SigningKey) -> Address:
    return address_of(key.public)


class SettlingHome:
    """One settling node, started anew as often as wanted from the same folder."""

    def __init__(
        self,
        folder: Path,
        *,
        patience_ms: int = HOUR_MS,
        key: SigningKey = EDGE,
        settles: bool = True,
        gossip: Gossip | None = None,
    ) -> None:
        self.now_ms = START_MS
        self.patience_ms = patience_ms
        self.key = key
        self.settles = settles
        self.other_units: tuple[SigningKey, ...] = ()
        """That report by their own keys."""

        self.delegating: tuple[SigningKey, ...] = ()
        """For which this node's key reports."""

        self.pv: frozenset[Address] = frozenset()
        self.replaces: dict[Address, Address] = {}
        self.journal = Journal(folder, network_id(GENESIS))
        self.gossip: Gossip = FakeGossip(self.journal) if gossip is None else gossip
        self.applied: list[Operation] = []
        self.ignored: list[Operation] = []
        self.start()

    def start(self) -> None:
        """Take up where the journal stopped, as a new process would."""
        self.core = NodeCore(GENESIS, CONTRACTS, self.journal.restore(GENESIS, 20))
        self.executor = Executor(self.core, self.journal, self.gossip, Random(1))
        self.clock = Clock(GENESIS, lambda: self.now_ms, lambda: 0)
        self.issuance = self.issuing(self.key)
        units = [SettledUnit(UNIT_ADDRESS, UNIT_ADDRESS, self.issuance)]
        units += [
            SettledUnit(whose(one), whose(one), self.issuing(one)) for one in self.other_units
        ]
        units += [SettledUnit(whose(one), whose(one), self.issuance) for one in self.delegating]
        settings = SettlingSettings(
            ZoneInfo("UTC"),
            self.patience_ms,
            tuple(units) if self.settles else (),
            self.pv,
            self.replaces,
        )
        self.settling = Settling(
            self.executor, self.opened, self.clock, settings, self.issuance, self.gossip
        )

    def issuing(self, key: SigningKey) -> Issuance:
        return Issuance(self.executor, key, self.clock, Random(1), LoadMeter())

    def step(self) -> None:
        async def once() -> None:
            async with asyncio.timeout(DEADLINE_S):
                await self.settling.step()

        asyncio.run(once())

    def opened(self, device: Address, first: int, last: int) -> Iterable[tuple[int, SaltedReading]]:
        for taken in self.journal.readings(device, first, last):
            yield taken.sequence, open_sealed(sealing_key(self.key), taken)

    def act(self, key: SigningKey, *operations: Operation) -> None:
        """Let somebody issue operations, one after the other, and have each applied."""
        for operation in operations:
            asyncio.run(self.issuing(key).issue(operation))
            self.confirm()

    def confirm(self, now_ms: int | None = None) -> None:
        """Let a milestone reference all that waits, now or at a later time."""
        self.now_ms = max(self.now_ms + 2_000, now_ms or 0)
        now = at(self.now_ms - START_MS)
        while True:
            tips = sorted(self.core.graph.tips)[:7] or [self.core.confirmed_id]
            parents: set[TransactionId] = {
                *tips,
                self.core.graph.referenced_at(self.core.confirmed_index)[0],
            }
            issued = milestone(self.core, sorted(parents)[:7], now.wall_ms - START_MS)
            effects = self.core.submit(issued.data, now)
            self.executor.carry_out(effects, now)
            self._note(effects)
            if len(tips) < 7:
                return
            self.now_ms += 2_000
            now = at(self.now_ms - START_MS)

    def _note(self, effects: Sequence[object]) -> None:
        for effect in effects:
            if isinstance(effect, Confirmed):
                for tx_id, outcome in effect.outcomes:
                    stored = self.journal.transaction(tx_id)
                    assert stored is not None
                    payload = decode(stored.data).transaction.payload
                    if isinstance(payload, Operation):
                        found = self.applied if isinstance(outcome, Applied) else self.ignored
                        found.append(payload)

    def found(
        self, *, delegated: bool = True, homes: Mapping[SigningKey, SigningKey] | None = None
    ) -> None:
        """Have the battery and the meters on the ledger, the homes connected, hours as periods.

        Args:
            delegated: Whether the battery lets this node report.
            homes: The home edges of members that are not homed here.
        """
        for member, meter in METERS.items():
            self.enrol(meter, member, (homes or {}).get(member, EDGE))
        acts = (
            RegisterUnit(UNIT_ADDRESS, whose(OWNER), 100_000),
            SetParameter("settlement_period", HOUR_MS),
        )
        self.act(VOTER, *(vote_operation(Vote(act, yes=True)) for act in acts))
        for member in (ANNA, BERT):
            self.act(member, energy_operation(Connect(UNIT_ADDRESS, whose(EDGE))))
        if delegated:
            self.delegate()
        self.applied.clear()
        self.step()  # settling begins

    def enrol(self, meter: SigningKey, owner: SigningKey, edge: SigningKey = EDGE) -> None:
        claim = Claim(genesis_hash(GENESIS), meter.public, "meter", whose(owner), whose(edge))
        self.act(EDGE, register_operation(claim_registration(claim, meter)))

    def remove_unit(self) -> None:
        self.act(VOTER, vote_operation(Vote(RemoveUnit(UNIT_ADDRESS), yes=True)))

    def delegate(self) -> None:
        self.act(UNIT, energy_operation(Delegate(whose(EDGE))))

    def read(
        self,
        meter: SigningKey,
        sequence: int,
        end_ms: int,
        registers: tuple[int, int],
        quality: Quality = "measured",
    ) -> None:
        """Have a reading journalled, as metering does."""
        device = whose(meter)
        plain = Reading(
            network_id(GENESIS), device, sequence, end_ms - 1, end_ms, *registers, quality
        )
        drawn = digest(device + sequence.to_bytes(8, "big"))
        content = SaltedReading(drawn[:SALT_SIZE], encode_reading(sign_reading(plain, meter)))
        taken = seal(sealing_key(self.key), device, sequence, content, drawn[:NONCE_SIZE])
        self.executor.carry_out([], self.clock.instant(), readings=(taken,))

    def hour(self, number: int, **registers: tuple[int, int]) -> None:
        """Have the registers at the end of an hour read: `anna`, `bert`, `unit`."""
        meters = {"anna": METERS[ANNA], "bert": METERS[BERT], "unit": UNIT}
        for name, pair in registers.items():
            self.read(meters[name], number, FIRST_MS + number * HOUR_MS, pair)

    def settle(self, hours: int = 1) -> None:
        """Let hours pass, and step until all that was to be reported is applied."""
        for _ in range(hours):
            self.confirm((self.clock.instant().ledger_ms // HOUR_MS + 1) * HOUR_MS + 1_000)
            self.report()

    def report(self) -> None:
        for _ in range(12):
            self.step()
            self.confirm()

    def periods(self) -> list[SettledPeriod]:
        return self.journal.settled(self.key).periods(0, 2**50)

    def shared(self) -> list[SharedPeriod]:
        return self.journal.settled(self.key).shared(0, 2**50)

    def state(self) -> UnitState:
        state = self.journal.settled(self.key).unit(UNIT_ADDRESS)
        assert state is not None
        return state

    def unit(self) -> StorageUnit:
        unit = unit_at(self.core.ledger.rows, UNIT_ADDRESS)
        assert unit is not None
        return unit
