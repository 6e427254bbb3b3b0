"""Those who mean ill: registered issuers who build what serves them and tell whom they like.

A villain sees what every node has and is heard by every node, answers nothing, and has the keys of
members with money. It may not break a rule of phase 1: those who do lose their standing at once.
"""

from functools import partial
from typing import Final

from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tangle.codec import encode
from tangle.transaction import (
    Data,
    IssuerWitness,
    Payload,
    SignedTransaction,
    TransactionId,
)
from tangle.verification import Verified, parse
from tests.community import COINS_UEUR, START_MS, key, member_key
from tests.simulation.invariants import Rule
from tests.simulation.network import MEMBERS, VILLAINS
from tests.simulation.nodes import SimulatedNode
from tests.simulation.stage import Stage
from tip_selection.uniform import select_uniform

Pair = tuple[TransactionId, TransactionId]

SPAM_EACH_MS: Final = 20
"""Fifty a second, beside four honest ones: more than ten times their rate."""

BURST_MS: Final = 4_000
"""How long a spammer of a mixture lasts."""

MAX_WAITING: Final = 600
"""Of the rooms that are flooded. What is pending must fit, or it cannot be walked back to."""

ORPHANS: Final = 60
"""A second: the rooms are full long before anybody gives up."""

CHAINS: Final = 6
LENGTH: Final = 12


class Villain:
    """One key, and what it does with it."""

    def __init__(self, world: Stage, number: int) -> None:
        self.world = world
        self.key = member_key(MEMBERS + number)
        self.friend = address_of(member_key(MEMBERS + (number + 1) % VILLAINS).public)
        self._sequence = 0

    def make(self, parents: Pair, payload: Payload | None = None, back: int = 0) -> Verified:
        """Sign something; `back` takes a number again that was used so many before."""
        now_ms = START_MS + self.world.now_ms
        sequence = max(0, self._sequence - back)
        self._sequence += back == 0
        said = Data("x", b"x") if payload is None else payload
        return self.world.make.transaction(self.key, sequence, parents, said, now_ms)

    def payment(self, parents: Pair, *, back: int = 0) -> Verified:
        """Pay all that there was at the start: a second one conflicts with the first."""
        payload = transfer_operation(TransferEeuro(self.friend, COINS_UEUR))
        return self.make(parents, payload, back)

    def tell(self, tx: Verified, share: float = 1.0) -> None:
        """Send to some of the nodes, at least one."""
        nodes = self.world.nodes
        for node in self.world.rng.sample(nodes, max(1, round(share * len(nodes)))):
            self.world.tell(node, tx.data)

    def base(self, back: int = 0) -> Pair:
        """Return a milestone so many before the last one, and one of its parents."""
        core = self._anyone().core
        index = max(1, core.confirmed_index - back)
        milestone_id = core.graph.milestone_id(index)
        if milestone_id is None:
            first, second = core.graph.referenced_at(0)[:2]
            return first, second
        return milestone_id, core.graph[milestone_id].parents[0]

    def _anyone(self) -> SimulatedNode:
        nodes = [node for node in self.world.nodes if node.core.confirmed_index > 0]
        return self.world.rng.choice(nodes or self.world.nodes)

    def is_over(self) -> bool:
        """Return whether nobody issues any more."""
        return self.world.now_ms > self.world.issue_ms - 1_000


def parasite_chains(world: Stage) -> None:
    """Pays, builds heavy chains aside over a payment of the same coins, and lets go of them."""
    villain = Villain(world, 0)

    def build() -> None:
        if villain.is_over():
            return
        first, second = villain.base()
        villain.tell(villain.payment((first, second)))
        branch: list[Verified] = [villain.payment((first, second), back=world.rng.randint(0, 1))]
        for _ in range(CHAINS):
            beside, below = second, first
            for _ in range(LENGTH):
                branch.append(villain.make((beside, below)))
                beside, below = first, branch[-1].tx_id
        world.at(world.rng.randint(0, 3 * world.interval_ms), partial(release, branch))
        world.at(world.rng.randint(2, 4) * world.interval_ms, build)

    def release(branch: list[Verified]) -> None:
        world.rng.shuffle(branch)
        share = world.rng.choice((0.2, 0.5, 1.0))
        for one in branch:
            villain.tell(one, share)

    world.at(3_000, build)


def split_tips(world: Stage) -> None:
    """Keeps two branches with conflicting payments of one weight, half of the nodes for each."""
    villain = Villain(world, 1)
    branches: list[Pair] = []

    def begin() -> None:
        if villain.is_over():
            return
        base = villain.base()
        branches.clear()
        for number, back in enumerate((0, world.rng.randint(0, 1))):
            payment = villain.payment(base, back=back)
            branches.append((base[0], payment.tx_id))
            tell(number, payment)
        world.at(4 * world.interval_ms, begin)

    def tell(number: int, tx: Verified) -> None:
        for node in world.nodes[number::2]:
            world.tell(node, tx.data)

    def extend() -> None:
        if villain.is_over():
            return
        for number, (base, below) in enumerate(branches):
            above = villain.make((base, below))
            branches[number] = base, above.tx_id
            tell(number, above)
        world.at(150, extend)

    world.at(2_500, begin)
    world.at(2_600, extend)


def lazy_tips(world: Stage) -> None:
    """Approves only what is long referenced, again and again: many tips that merge nothing."""
    villain = Villain(world, 2)

    def issue() -> None:
        if villain.is_over():
            return
        villain.tell(villain.make(villain.base(back=world.rng.randint(0, 13))), 0.3)
        world.at(world.rng.randint(50, 150), issue)

    world.at(2_500, issue)


def spam(world: Stage, length_ms: int | None = None) -> None:
    """Issues at ten times the honest rate, over tips like others or over milestones only."""
    villain = Villain(world, 3)
    start_ms = 2_500 if length_ms is None else world.rng.randint(2_500, world.issue_ms // 2)
    is_wide = world.rng.random() < 0.5

    def issue() -> None:
        is_spent = length_ms is not None and world.now_ms > start_ms + length_ms
        if villain.is_over() or is_spent:
            return
        villain.tell(villain.make(parents()), 0.1)
        world.at(SPAM_EACH_MS, issue)

    def parents() -> Pair:
        if is_wide:
            return villain.base()
        node = world.rng.choice(world.nodes)
        first, second = select_uniform(world._view(node), world.rng, 2).parents
        return first, second

    world.at(start_ms, issue)


def burst_of_spam(world: Stage) -> None:
    """Spam, for a few seconds."""
    spam(world, BURST_MS)


def replays(world: Stage) -> None:
    """Sends again what was ever sent, old and new, to anybody."""

    def storm() -> None:
        if world.now_ms > world.issue_ms:
            return
        world.at(500, storm)
        known = list(world.rng.choice(world.nodes).stored.values())
        for kept in world.rng.sample(known, min(len(known), 20)):
            for node in world.rng.sample(world.nodes, 2):
                world.tell(node, kept.data)

    world.at(2_000, storm)


def reground_copies(world: Stage) -> None:
    """Sends what honest people issue under other nonces, here and there before the first."""

    def copy() -> None:
        if world.now_ms > world.issue_ms:
            return
        world.at(200, copy)
        source = world.rng.choice(world.nodes)
        for tx_id in list(source.stored)[-4:]:
            copied = _reground(source.stored[tx_id].data, world.rng.getrandbits(63))
            if copied is not None:
                world.watch.verify(copied.tx_id == tx_id, Rule.REFERENCED_ONCE, "a nonce in an id")
                for node in world.rng.sample(world.nodes, 3):
                    world.tell(node, copied.data)

    world.at(1_000, copy)


def _reground(data: bytes, nonce: int) -> Verified | None:
    """Return the same act under another nonce; milestones have none."""
    known = parse(data)
    if not isinstance(known.witness, IssuerWitness):
        return None
    witness = IssuerWitness(known.witness.signature, nonce.to_bytes(8, "big"))
    return parse(encode(SignedTransaction(known.transaction, witness)))


def orphans(world: Stage) -> None:
    """Floods small waiting rooms with what has unknown parents, and with what strangers issue."""
    world.limit_waiting(MAX_WAITING)
    villain, numbers = Villain(world, 2), iter(range(10**6))

    def flood() -> None:
        if world.now_ms > world.issue_ms:
            return
        world.at(1_000, flood)
        base = villain.base()
        for _ in range(ORPHANS):
            nowhere = TransactionId(next(numbers).to_bytes(32, "big"))
            villain.tell(villain.make((nowhere, base[0]), back=1))
        villain.tell(world.make.transaction(key(990), next(numbers), base))
        for node in world.nodes:
            waiting = node.core.waiting
            is_bounded = len(waiting._evictable) <= MAX_WAITING
            world.watch.verify(is_bounded, Rule.BOUNDED, f"node {node.number}: {len(waiting)}")

    world.at(2_000, flood)
