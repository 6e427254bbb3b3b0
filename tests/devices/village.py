"""A real ledger with energy accounts, one prosumer and her capable meter: no broker, no clock."""

from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from coordinator.issuer import sign_milestone
from devices.capable import CapableTerms
from devices.messages import Answer, Said, Tips, sign_message
from energy.ctt.calls import (
    BuyEmpty,
    Confirm,
    Create,
    CttCall,
    Register,
    SignInterruption,
    ctt_operation,
)
from energy.ctt.rows import account
from energy.ctt.standing import prove_standing
from tangle.accounts import sequence_window
from tangle.address import Address, address_of
from tangle.anchors import Anchor, Rotation
from tangle.effects import Confirmed, Effect, Instant
from tangle.errors import TanglewattError
from tangle.genesis import Genesis, GenesisIdentity, network_id
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.outcomes import Applied, Event, Outcome
from tangle.transaction import TransactionId, decode, transaction_id
from tests.community import (
    CONTRACTS,
    COORDINATOR,
    START_MS,
    VOTER,
    Maker,
    community,
    edge_key,
    member_key,
    meter_key,
)

EDGE: Final = edge_key(0)
METER: Final = meter_key(0)
NEIGHBOUR: Final = meter_key(1)
ADMIN, OPERATOR, ALICE, BOB = (member_key(number) for number in range(4))
DEVICE: Final = address_of(METER.public)
INTERVAL_MS: Final = 2_000
CAPACITY_WH: Final = 1_000
KINDS: Final = ("ctt.recharged", "ctt.consumed")


def village() -> Genesis:
    """Return a genesis whose meters are registered already."""
    plain = community(members=4)
    meters = tuple(GenesisIdentity(one.public, "meter") for one in (METER, NEIGHBOUR))
    identities = tuple(sorted((*plain.identities, *meters), key=lambda one: one.key))
    return msgspec.structs.replace(plain, identities=identities)


GENESIS: Final = village()
NETWORK: Final = network_id(GENESIS)
MAKE: Final = Maker(GENESIS)
TERMS: Final = CapableTerms(GENESIS, METER, EDGE.public, ZoneInfo("UTC"))


@dataclass
class Village:
    """A node that applies what it is told, milestone by milestone, and remembers what it did."""

    core: NodeCore = field(default_factory=lambda: NodeCore(GENESIS, CONTRACTS))
    signer: SigningKey = COORDINATOR
    rotations: tuple[Rotation, ...] = ()
    outcomes: dict[TransactionId, Outcome] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def ledger_ms(self) -> int:
        """Time of the last milestone, or of genesis."""
        return max(self.core.confirmed_at_ms, START_MS)

    def now(self, more_ms: int = 0) -> Instant:
        return Instant(self.ledger_ms + more_ms, self.ledger_ms + more_ms)

    def confirm(self, more_ms: int = INTERVAL_MS) -> None:
        """Issue the next milestone over all that waits."""
        core, now = self.core, self.now(more_ms)
        parents = {core.confirmed_id, *sorted(core.graph.tips)[:7]}
        if len(parents) < 2:
            parents.add(core.graph.referenced_at(core.confirmed_index)[-1])
        drafted = core.draft_milestone(parents, now.ledger_ms)
        self._observe(core.submit(sign_milestone(drafted, (self.signer,)).data, now))

    def _observe(self, effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Confirmed):
                continue
            if effect.rotation is not None:
                self.rotations = (*self.rotations, effect.rotation)
            self.outcomes |= dict(effect.outcomes)
            for _, outcome in effect.outcomes:
                if isinstance(outcome, Applied):
                    self.events += outcome.events

    def parents(self) -> tuple[TransactionId, TransactionId]:
        known = [one.tx_id for one in self.core.graph.vertices()][-2:]
        first, second = sorted(known)
        return first, second

    def does(self, key: SigningKey, call: CttCall) -> None:
        """Let somebody make a call that is applied, in a milestone of its own."""
        number = sequence_window(self.core.ledger.rows, address_of(key.public)).next
        made = MAKE.transaction(key, number, self.parents(), ctt_operation(call), self.ledger_ms)
        self._observe(self.core.submit(made.data, self.now()))
        self.confirm()
        assert isinstance(self.outcomes[made.tx_id], Applied), self.outcomes[made.tx_id]

    def begin(self, tokens: int = 1) -> None:
        """Make a collection, tokens for Alice, and her meter a confirmed one."""
        create = Create(address_of(ADMIN.public), address_of(OPERATOR.public), 100, CAPACITY_WH, 0)
        self.does(VOTER, create)
        if tokens:
            self.does(ALICE, BuyEmpty(tokens))
        self.hand_over(ALICE)

    def hand_over(self, prosumer: SigningKey, meter: Address = DEVICE) -> None:
        """Confirm a meter for somebody."""
        self.does(prosumer, Register(meter))
        self.does(OPERATOR, Confirm(meter, address_of(prosumer.public)))

    def sign(self, limit_w: int | None, member: SigningKey = ALICE) -> None:
        self.does(member, SignInterruption(limit_w))

    def standing(self, meter: Address = DEVICE) -> bytes:
        """Return the standing of a meter after the last milestone."""
        core = self.core
        last = core.pending(core.confirmed_id)
        assert last is not None
        anchor = Anchor(self.rotations, last.data)
        return prove_standing(anchor, core.ledger.trie, core.ledger.rows, meter)

    def tips(self, key: SigningKey = EDGE) -> bytes:
        return sign_message(Tips(NETWORK, self.parents(), self.core.confirmed_index), key)

    def take(self, data: bytes) -> bytes:
        """Take in what the meter posted; return the home edge's answer."""
        tx_id = transaction_id(decode(data).transaction)
        try:
            self._observe(self.core.submit(data, self.now()))
        except TanglewattError as error:
            return answer("refused", tx_id, type(error).__name__)
        return answer("taken", tx_id)

    def available_wh(self, member: SigningKey = ALICE) -> int:
        return account(self.core.ledger.rows, address_of(member.public)).available_wh

    def reported(self) -> tuple[int, int]:
        """Return what the ledger counted in all, in Wh: recharged and consumed, all parts."""
        sums = []
        for name in KINDS:
            of_kind = [dict(one.fields) for one in self.events if one.name == name]
            sums.append(
                sum(
                    value
                    for fields in of_kind
                    for key, value in fields.items()
                    if key in ("energy_wh", "refused_wh", "uncovered_wh") and isinstance(value, int)
                )
            )
        return sums[0], sums[1]


def answer(said: Said, tx_id: TransactionId, code: str = "", key: SigningKey = EDGE) -> bytes:
    return sign_message(Answer(NETWORK, DEVICE, tx_id, said, code, "", 0), key)
