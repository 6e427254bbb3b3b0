"""A home that is metered, settled and billed: real readings, batches, reports, documents, HTTP.

One node is home to a member's meter and settles a battery. Only the broker and the other nodes
are left out. Two local days are metered by quarter-hours.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final, Protocol, TypeVar

from access.device import Claim, Register, claim_registration, register_operation
from api.http.service import PeerView
from api.node.metrics import Stand
from api.node.node_service import NodeApi, NodeCard
from api.node.span_answers import Home
from api.node.stating import Settlements
from api.settings.records import Settlement, UnitSettlement
from devices.reading import Reading, encode_reading, sign_reading
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.journal.kept import forget_proofs
from edge.journal.sealing import sealing_key
from edge.meters.metering import Metering
from edge.meters.proof_keeping import proof_keeper
from edge.node.catch_up import Progress
from edge.node.executor import Executor
from energy.bills.contract import SetTariff, bill_operation
from energy.bills.days import stretch
from energy.bills.tariffs import Tariff
from energy.ctt.calls import BuyEmpty, Confirm, Consume, Create, Recharge, ctt_operation
from energy.ctt.calls import Register as RegisterMeter
from energy.governance.acts import RegisterUnit, Vote
from energy.governance.contract import vote_operation
from energy.powerchain.calls import Connect, energy_operation
from energy.settlement.slots import SLOT_MS
from energy.transfer import TransferEeuro, transfer_operation
from energy.units import DAY_MS
from tangle.accounts import reading_ranges
from tangle.address import Address
from tangle.effects import Instant
from tangle.genesis import Genesis, genesis_hash
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.sequences import is_unused
from tangle.transaction import Transaction, TransactionId, decode, transaction_id
from tangle.work import find_nonce
from tests.community import VOTER, meter_key
from tests.edge.meters.test_metering import FakeLink, until
from tests.edge.settling_home import ANNA, OWNER, UNIT, UNIT_ADDRESS, SettlingHome, whose
from tests.tangle.cores import EDGE, GENESIS

T = TypeVar("T")

METER: Final = meter_key(5)
DAYS: Final = stretch("2023-11-15", "2023-11-16")
FIRST_MS: Final = DAYS.first_day * DAY_MS
AFTER_MS: Final = DAYS.after_day * DAY_MS
ISSUER: Final = ANNA
TARIFF: Final = Tariff(DAYS.first_day, 300_000, 80_000, 3_000_000, 600_000, 190_000)
GRID_WH: Final = 2 * (40 * 50 + 26 * 20)
"""Import that the battery does not cover."""

FEED_IN_WH: Final = 2 * 30 * (80 - 60)
SLOTS: Final = 96


def home_registers(slots: int) -> tuple[int, int]:
    """Return what the home's meter shows after some quarter-hours: surplus around noon."""
    days, rest = divmod(slots, SLOTS)
    noon = min(max(rest - 40, 0), 30)
    return 50 * (66 * days + rest - noon), 80 * (30 * days + noon)


def unit_registers(slots: int) -> tuple[int, int]:
    """Return what the battery's shows: charged around noon, discharged in the evening."""
    days, rest = divmod(slots, SLOTS)
    noon, evening = min(max(rest - 40, 0), 30), max(rest - 70, 0)
    return 60 * (30 * days + noon), 30 * (26 * days + evening)


class Runs(Protocol):
    """What of a node runs behind its door."""

    core: NodeCore
    journal: Journal
    executor: Executor
    clock: Clock


class Door:
    """The runtime of a node, as its HTTP door sees it."""

    def __init__(self, home: Runs, folder: Path, genesis: Genesis = GENESIS) -> None:
        self.home = home
        self.folder = folder
        self.genesis = genesis

    @property
    def core(self) -> NodeCore:
        return self.home.core

    def now(self) -> Instant:
        return self.home.clock.instant()

    async def submit(self, data: bytes) -> TransactionId:
        now = self.home.clock.instant()
        self.home.executor.carry_out(self.home.core.submit(data, now), now)
        return transaction_id(decode(data).transaction)

    def progress(self) -> Progress:
        return Progress(0, None)

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        first, second = sorted([one.tx_id for one in self.home.core.graph.vertices()][-2:])
        return first, second

    @property
    def queue_length(self) -> int:
        return 0

    def queued(self, tx_id: TransactionId) -> bytes | None:
        assert tx_id
        return None

    def stand(self) -> Stand:
        return Stand()

    async def work(self, transaction: Transaction) -> bytes:
        return find_nonce(transaction_id(transaction), 0)

    async def read(self, query: Callable[[Journal], T]) -> T:
        return query(self.home.journal)


class BilledHome(SettlingHome):
    """The node, and what happens to it."""

    def __init__(self, folder: Path, customer: SigningKey) -> None:
        super().__init__(folder)
        self.folder = folder
        self.customer = customer
        self.link = FakeLink()
        self.link.network = self.core.rules.network
        enrolments = (self._enrolment(METER, customer), self._enrolment(UNIT, OWNER))
        self.metering = Metering(self.executor, self.issuance, self.link, self.clock, enrolments, 0)

    def api(self, *issuers: SigningKey) -> NodeApi:
        """Return the door of the node, that shows issuers what was settled."""
        card = NodeCard(EDGE.public, "home", "edge", "1", None)
        peers: tuple[PeerView, ...] = ()
        api = NodeApi(Door(self, self.folder), card, lambda: peers, sealing_key(EDGE))
        units = (UnitSettlement(UNIT_ADDRESS, UNIT_ADDRESS, self.folder / "unit.key"),)
        settlements = Settlements(self.journal.settled(EDGE), Settlement("UTC", units=units))
        api.serve_home(
            Home(sealing_key(EDGE), settlements, frozenset(whose(one) for one in issuers))
        )
        return api

    # What happens.

    def live(self) -> None:
        """Have two days metered, settled and reported, and prices agreed."""
        self.found_days()
        self.measure()
        self.settle_days()

    def live_on_accounts(self) -> None:
        """Have the home charge and deplete an energy account (CTT) in two days, and be settled."""
        self.found_days()
        for key, call in (
            (VOTER, Create(whose(VOTER), whose(VOTER), 10, 10_000, 0)),
            (self.customer, RegisterMeter(whose(METER))),
            (VOTER, Confirm(whose(METER), whose(self.customer))),
            (self.customer, BuyEmpty(1)),
        ):
            self.act(key, ctt_operation(call))
        noon_ms = FIRST_MS + DAY_MS // 2
        for at_ms, report in (
            (noon_ms, Recharge(2_000)),
            (noon_ms + DAY_MS // 3, Consume(2_500)),
            (noon_ms + DAY_MS, Recharge(1_000)),
            (noon_ms + DAY_MS + DAY_MS // 3, Consume(400)),
        ):
            self.confirm(at_ms)
            self.act(METER, ctt_operation(report))
        self.measure()
        self.settle_days()

    def found_days(self) -> None:
        """Have members, devices, the battery and prices on the ledger; a period is a day."""
        member = self._enrolment(self.customer, self.customer, role="member")
        self.act(EDGE, register_operation(member))
        self.act(ANNA, transfer_operation(TransferEeuro(whose(self.customer), 900_000)))
        asyncio.run(self._metered(self._register_meters))
        act = RegisterUnit(UNIT_ADDRESS, whose(OWNER), 100_000)
        self.act(VOTER, vote_operation(Vote(act, yes=True)))
        self.act(self.customer, energy_operation(Connect(UNIT_ADDRESS, whose(EDGE))))
        self.delegate()
        self.act(ISSUER, bill_operation(SetTariff(TARIFF)))
        self.step()

    def live_with_late_readings(self) -> None:
        """Have the readings of the second afternoon come after both days were settled."""
        self.found_days()
        self.measure(0, SLOTS + 50)
        self.confirm(AFTER_MS + 2 * self.patience_ms)
        self.settle_days()
        self.measure(SLOTS + 51, 2 * SLOTS)

    def measure(self, first: int = 0, last: int = 2 * SLOTS) -> None:
        """Have both meters post readings of the two days, and batches of them confirmed."""
        self.confirm(AFTER_MS + 1_000)
        asyncio.run(self._metered(lambda: self._post(first, last)))

    def settle_days(self, *, is_reported: bool = True) -> None:
        """Step until both days are settled, and the ledger has all reports, or not yet."""
        for _ in range(60):
            self.step()
            self.confirm()
            state = self.journal.settled(EDGE).unit(UNIT_ADDRESS)
            if state is not None and state.through_ms >= AFTER_MS:
                if not is_reported:
                    return
                used = self.unit().reports
                if not [one for one in state.waiting if is_unused(used, one.number or 0)]:
                    return
        raise AssertionError("two days are not settled within 60 steps")

    def keep_proofs(self) -> None:
        """Look through the history for what must be kept of it."""
        while proof_keeper(self.core, self.journal).step(self.core.confirmed_index):
            pass

    def forget_proof(self, name: str) -> None:
        """Lose one kept proof, as a node that began to keep them later."""
        tx_id = bytes.fromhex(name.partition("/")[2])
        with self.journal._storage.transaction() as connection:
            forget_proofs(connection, [tx_id])

    async def _metered(self, scenario: Callable[[], Coroutine[None, None, None]]) -> None:
        self.link.posted = asyncio.Queue()  # of this loop
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            serving = group.create_task(self.metering.run())
            await scenario()
            serving.cancel()

    async def _register_meters(self) -> None:
        await until(lambda: len(self.journal.own_unreferenced(EDGE.public)) == 2)
        self.confirm()

    async def _post(self, first: int, last: int) -> None:
        posted = {METER: home_registers, UNIT: unit_registers}
        for meter, registers in posted.items():
            readings = [
                (whose(meter), self._reading(meter, at, registers(at)))
                for at in range(first, last + 1)
            ]
            self.link.posted.put_nowait(readings)

        def is_committed() -> bool:
            self.confirm()
            return all(
                [one.last for one in reading_ranges(self.core.ledger.rows, whose(meter)).taken]
                == [last]
                for meter in posted
            )

        await until(is_committed)

    def _reading(self, meter: SigningKey, at: int, registers: tuple[int, int]) -> bytes:
        end_ms = FIRST_MS + at * SLOT_MS
        plain = Reading(
            self.core.rules.network,
            whose(meter),
            at,
            end_ms - SLOT_MS,
            end_ms,
            *registers,
            "measured",
        )
        return encode_reading(sign_reading(plain, meter))

    def _enrolment(self, key: SigningKey, owner: SigningKey, role: str = "meter") -> Register:
        edge = whose(EDGE) if role == "meter" else Address(bytes(32))
        claim = Claim(genesis_hash(GENESIS), key.public, role, whose(owner), edge)
        return claim_registration(claim, key)
