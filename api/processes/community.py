"""Plays the people of a demonstration against the nodes of their network, over HTTP.

Each has a key of its own and signs what it does; the nodes know nothing of a demonstration. One
node is looked at, the home edges are told. What a node cannot do now is left for the next round.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import structlog

from api.client.answers import InfoAnswer, TransactionAnswer
from api.client.issuing import FINAL_STATES, Issuer, signed_item
from api.client.node_client import NodeClient, NotTakenError
from api.client.sequence_file import release_sequence, reserve_sequence
from api.failures import CommandError, FailureCode
from api.http.energy_forms import DepthJson, EnergyJson, MemberJson, VotesJson
from api.processes.community_sight import sight_of
from api.processes.in_flight import InFlight, Issued
from energy.demo.people import Household, Owner, Person, decide
from energy.demo.sight import Sight
from tangle.address import Address, address_of, encode_address
from tangle.outcomes import State
from tangle.transaction import Operation, transaction_id

MAX_ACTS: Final = 8
"""Of one person in one round: what is left is decided anew in the next."""

MAX_LOOKED: Final = 24
"""People whose accounts are asked for in one round; more take turns."""

MAX_PAUSE_ROUNDS: Final = 32
"""Who is refused again and again asks no more often than this."""

WORK_S: Final = 5.0
"""Most that is worked for one transaction if a node asks for it."""

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Actor:
    """One of the people, with what it signs with."""

    name: str
    person: Person
    issuer: Issuer
    edge: int
    """Number of the node it talks to first: its home edge."""

    @property
    def address(self) -> Address:
        """Return under which address the ledger knows it."""
        return address_of(self.issuer.key.public)


@dataclass
class _Patience:
    """How often somebody was refused in a row, and for how many rounds it rests."""

    refusals: int = 0
    rounds: int = 0


@dataclass
class Community:
    """All people of one demonstration. Blocking; used by one thread."""

    actors: Sequence[Actor]
    unit: Address
    edges: Sequence[NodeClient]
    in_flight: InFlight
    lost_after: int
    """Milestones after which what no node knows can be referenced no more."""

    rng: Random
    _looked_from: int = 0
    _node: int = 0
    """Which edge is looked at: another one once it does not answer."""

    _patience: dict[str, _Patience] = field(default_factory=dict)

    def round(self) -> int:
        """Let everybody who has nothing under way look, decide and act; return how many acts.

        Raises:
            CommandError: The node that is looked at does not answer; the next round asks another.
        """
        node = self.edges[self._node % len(self.edges)]
        try:
            info = node.info()
            self._hear(node, info)
            actors = self._turn()
            sight = self._look(node, actors)
        except CommandError:
            self._node += 1
            raise
        return sum(self._act(actor, sight, info) for actor in actors if self._may_act(actor))

    def _turn(self) -> list[Actor]:
        """Return whose turn it is: all of them, or so many as may be asked for in one round."""
        count, first = len(self.actors), self._looked_from
        turn = [self.actors[(first + at) % count] for at in range(min(count, MAX_LOOKED))]
        self._looked_from = (first + len(turn)) % count
        return turn

    def _look(self, node: NodeClient, actors: Sequence[Actor]) -> Sight:
        members: Mapping[Address, MemberJson] = {
            one.address: node.answer(f"members/{encode_address(one.address)}", MemberJson)
            for one in actors
            if isinstance(one.person, Household | Owner)
        }
        return sight_of(
            self.unit,
            node.answer("energy", EnergyJson),
            node.answer("market/depth?levels=1", DepthJson),
            node.answer("votes", VotesJson),
            members,
        )

    def _may_act(self, actor: Actor) -> bool:
        patience = self._patience.get(actor.name)
        if patience is not None and patience.rounds > 0:
            patience.rounds -= 1
            return False
        return self.in_flight.is_free(actor.name)

    # What became of what was issued.

    def _hear(self, node: NodeClient, info: InfoAnswer) -> None:
        """Ask after all that is under way. Raises `CommandError`."""
        for one in self.in_flight.issued:
            found = _found(node, one.tx_id)
            if found is None and info.confirmed_index <= one.index + self.lost_after:
                continue  # still on its way to this node, perhaps
            if found is not None and found.state not in FINAL_STATES:
                continue
            self.in_flight.drop(one)
            actor = next((actor for actor in self.actors if actor.name == one.actor), None)
            if found is None and actor is not None:
                release_sequence(actor.issuer.sequence_file, info.network, one.sequence)
            if found is not None and found.state == State.IGNORED:
                self._refused(one.actor, str(found.reason))
            elif found is not None:
                self._patience.pop(one.actor, None)

    def _refused(self, name: str, why: str) -> None:
        patience = self._patience.setdefault(name, _Patience())
        patience.refusals += 1
        patience.rounds = min(2**patience.refusals, MAX_PAUSE_ROUNDS)
        _log.info("refused", actor=name, reason=why, rests_for_rounds=patience.rounds)

    # What is issued.

    def _act(self, actor: Actor, sight: Sight, info: InfoAnswer) -> int:
        """Issue what somebody decides; return how much of it was taken in."""
        wanted = decide(actor.person, sight, info.ledger_time_ms, self.rng)
        done = 0
        for operation in wanted[:MAX_ACTS]:
            if not self._issue(actor, operation, info):
                break
            done += 1
        return done

    def _issue(self, actor: Actor, operation: Operation, info: InfoAnswer) -> bool:
        """Issue one operation at the home edge, or at another node while that does not answer."""
        for at in range(len(self.edges)):
            node = self.edges[(actor.edge + at) % len(self.edges)]
            try:
                own = node.address(encode_address(actor.address))
            except CommandError as error:
                _log.info("node passed over", node=node.url, error=error.failure.why)
                continue
            return self._issue_at(node, actor, operation, info, own.next_sequence)
        return False

    def _issue_at(
        self,
        node: NodeClient,
        actor: Actor,
        operation: Operation,
        info: InfoAnswer,
        next_sequence: int,
    ) -> bool:
        file = actor.issuer.sequence_file
        sequence = reserve_sequence(file, info.network, next_sequence)
        issued: Issued | None = None
        try:
            deadline_s = time.monotonic() + WORK_S
            transaction, item = signed_item(node, actor.issuer.key, operation, sequence, deadline_s)
            tx_id = transaction_id(transaction).hex()
            issued = Issued(actor.name, tx_id, sequence, info.confirmed_index)
            self.in_flight.add(issued)
            node.submit(item)
        except NotTakenError as error:
            if issued is not None:
                self.in_flight.drop(issued)
            release_sequence(file, info.network, sequence)
            self._refused(actor.name, error.failure.why)
            return False
        except CommandError as error:
            # once it was sent, somebody may have it: what became of it is asked for later
            if issued is None:
                release_sequence(file, info.network, sequence)
            _log.info("not issued", actor=actor.name, error=error.failure.why)
            return False
        return True


def _found(node: NodeClient, tx_id: str) -> TransactionAnswer | None:
    """Return where a transaction stands; `None` if the node does not know it."""
    try:
        return node.transaction(tx_id)
    except CommandError as error:
        if error.failure.code is FailureCode.NOT_FOUND:
            return None
        raise
