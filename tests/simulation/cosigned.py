"""A world whose milestones need three of four signatures, and whose co-signers are not all good."""

from collections import defaultdict
from collections.abc import Mapping
from enum import Enum, auto
from functools import partial
from typing import Final

import msgspec
from typing_extensions import override

from coordinator.cosigner import CoSigner, Refused, Signed
from coordinator.issuer import Issuer, Propose
from coordinator.lock import Lock, first_lock
from tangle.errors import InvalidError
from tangle.genesis import Genesis
from tangle.keys import SigningKey
from tangle.proposals import CoSignature, Proposal, propose
from tangle.transaction import (
    KeySignature,
    Milestone,
    Transaction,
    TransactionId,
    decode_fields,
    sign,
    transaction_id,
)
from tests.community import COORDINATOR, community, key
from tests.simulation.invariants import Rule
from tests.simulation.network import MEMBERS, VILLAINS, CoreOf
from tests.simulation.nodes import SimulatedNode
from tests.simulation.weather import Weather
from tests.simulation.world import World

SIGNERS: Final = (COORDINATOR, key(901), key(902), key(903))
"""Of node 0, the leader, and of nodes 1 to 3."""

QUORUM: Final = 3


class Character(Enum):
    """How a co-signer behaves."""

    HONEST = auto()
    SIGNS_ANYTHING = auto()
    REFUSES = auto()
    SIGNS_TWO = auto()


class CoSignedWorld(World):
    """A world in which the leader proposes, and three nodes co-sign."""

    def __init__(
        self,
        seed: int,
        characters: Mapping[int, Character] | None = None,
        nodes: int = 6,
        issue_ms: int = 16_000,
        *,
        weather: Weather | None = None,
        core_of: CoreOf | None = None,
        interval_ms: int = 2_000,
    ) -> None:
        self.characters = defaultdict(lambda: Character.HONEST, characters or {})
        self.locks: dict[int, Lock] = {}
        """Of the co-signers, as on disk, by node."""

        self.cosigners: dict[int, CoSigner] = {}
        self.signed: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
        """Ids for which an honest co-signer's signature left it, by node and index."""

        self.refusals: list[str] = []
        """Why an honest co-signer refused."""

        super().__init__(seed, nodes, issue_ms, weather, core_of, interval_ms)
        for number in range(1, len(SIGNERS)):
            self.locks[number] = first_lock(self.genesis)
            self._take_up(self.nodes[number])

    @override
    def found(self, nodes: int) -> Genesis:
        return community(
            nodes, MEMBERS + VILLAINS, self.parameters(), signers=SIGNERS, quorum=QUORUM
        )

    @override
    def _start(self, node: SimulatedNode) -> None:
        super()._start(node)
        if node.number in self.locks:
            self._take_up(node)

    def _take_up(self, node: SimulatedNode) -> None:
        own, lock = SIGNERS[node.number], self.locks[node.number]
        self.cosigners[node.number] = CoSigner(node.core, own, COORDINATOR.public, lock)

    # The leader.

    @override
    def _propose(self, step: object) -> None:
        node = self.nodes[0]
        if isinstance(step, Propose):
            self.lock = step.lock  # on disk before anyone hears of it
            if not self._hesitates(node):
                self._put(node, step.proposal)

    def _put(self, leader: SimulatedNode, proposal: Proposal) -> None:
        for number in self.locks:
            self._tell(leader, self.nodes[number], partial(self._asked, number, proposal))

    def _answered(self, signature: CoSignature) -> None:
        issuer: Issuer = self.issuer
        try:
            step = issuer.take(signature)
        except InvalidError as error:
            self.refusals.append(str(error))
            return
        if step is not None:
            self.leader_finalises(step)

    # The co-signers.

    def _asked(self, number: int, proposal: Proposal) -> None:
        node = self.nodes[number]
        match self.characters[number]:
            case Character.HONEST:
                self._consider(node, proposal)
            case Character.SIGNS_ANYTHING:
                self._answer(node, _signed(decode_fields(proposal.fields), SIGNERS[number]))
            case Character.REFUSES:
                pass
            case Character.SIGNS_TWO:
                self._answer(node, _signed(decode_fields(proposal.fields), SIGNERS[number]))
                self._lie(node, proposal)

    def _consider(self, node: SimulatedNode, proposal: Proposal) -> None:
        try:
            answer = self.cosigners[node.number].consider(proposal, self._instant(node))
        except InvalidError as error:
            self.refusals.append(str(error))
            return
        if isinstance(answer, Refused):
            self.refusals.append(answer.why)
        if isinstance(answer, Signed):
            self.locks[node.number] = answer.lock  # on disk before the signature leaves
            if not self._hesitates(node):
                signature = answer.signature
                ids = self.signed[node.number, signature.index]
                ids.add(signature.milestone_id)
                said = f"node {node.number} signed {len(ids)} of index {signature.index}"
                self.watch.verify(len(ids) == 1, Rule.SIGNED_ONCE, said)
                self._answer(node, signature)

    def _lie(self, node: SimulatedNode, proposal: Proposal) -> None:
        """Propose another milestone of that index to the rest, and sign that one as well."""
        draft, own = decode_fields(proposal.fields), SIGNERS[node.number]
        payload = draft.payload
        assert isinstance(payload, Milestone)
        late = msgspec.structs.replace(payload, timestamp_ms=payload.timestamp_ms + 1)
        other = msgspec.structs.replace(draft, payload=late, issued_at_ms=late.timestamp_ms)
        self._answer(node, _signed(other, own))
        forged = propose(other, KeySignature(own.public, sign(other, own)))
        for number in self.locks:
            if number != node.number:
                self._tell(node, self.nodes[number], partial(self._asked, number, forged))

    def _answer(self, node: SimulatedNode, signature: CoSignature) -> None:
        self._tell(node, self.nodes[0], partial(self._answered, signature))

    # The network.

    def _tell(self, sender: SimulatedNode, to: SimulatedNode, what: partial[None]) -> None:
        if self.now_ms < self.issue_ms and self.rng.random() < self.weather.loss:
            return

        def arrive() -> None:
            if self.reaches(sender, to):
                self.when_durable(to, what)

        self.at(self.rng.randint(5, self.weather.max_delay_ms), arrive)


def _signed(draft: Transaction, own: SigningKey) -> CoSignature:
    tx_id: TransactionId = transaction_id(draft)
    return CoSignature(draft.sequence, tx_id, own.public, sign(draft, own))
