"""A seeded world: the stage, and honest people on it: meters and wallets.

An honest issuer repeats what expired under the same number, as the protocol has it: what counts is
that each act is referenced, and applied once.
"""

from collections import Counter
from functools import partial
from typing import Final

from typing_extensions import override

from access.device import Claim, claim_registration, register_operation
from energy.transfer import TransferEeuro, transfer_operation
from tangle.accounts import NO_ADDRESS, identity
from tangle.address import address_of
from tangle.genesis import genesis_hash
from tangle.keys import SigningKey
from tangle.outcomes import State
from tangle.transaction import Data, ReadingBatch, TransactionId
from tangle.verification import Verified
from tests.community import COINS_UEUR, START_MS, VOTER, edge_key, member_key, meter_key
from tests.simulation.network import MEMBERS, CoreOf
from tests.simulation.nodes import SimulatedNode
from tests.simulation.stage import Stage
from tests.simulation.weather import Weather

REPEAT_MS: Final = 1_000
"""How often somebody looks whether what was issued has expired."""


class World(Stage):
    """Everything there is; `run` plays it to its end."""

    def __init__(
        self,
        seed: int,
        nodes: int = 20,
        issue_ms: int = 16_000,
        weather: Weather | None = None,
        core_of: CoreOf | None = None,
        interval_ms: int = 2_000,
    ) -> None:
        self.committed: Counter[int] = Counter()
        """Readings that each edge node has committed to, by number of the node."""
        self.open: dict[TransactionId, tuple[int, SigningKey, Verified]] = {}
        """What honest people wait for, with the node that took it in and the key."""
        self.taken: dict[TransactionId, tuple[int, SigningKey, Verified]] = {}
        """The same of all that was ever taken in."""
        self.repeated = 0
        super().__init__(seed, nodes, issue_ms, weather, core_of, interval_ms)

    @override
    def _schedule(self) -> None:
        super()._schedule()
        for number in range(1, len(self.nodes), 3):
            self.at(100 + number, partial(self._register, number))
            self.at(self.rng.randint(0, 2_000), partial(self._meter, number))
        for number in range(MEMBERS):
            self.at(self.rng.randint(500, 4_000), partial(self._wallet, number))
        self.at(REPEAT_MS, self._repeat)

    def _register(self, number: int) -> None:
        """The voter sponsors the meter of an edge node, until a node takes it."""
        meter = meter_key(number)
        edge = address_of(edge_key(number).public)
        claim = Claim(genesis_hash(self.genesis), meter.public, "meter", NO_ADDRESS, edge)
        payload = register_operation(claim_registration(claim, meter))
        if not self._issue(self.nodes[number], VOTER, payload):
            self.at(500, partial(self._register, number))

    def _meter(self, number: int) -> None:
        """An edge node commits to the next readings of its meter."""
        if self.now_ms > self.issue_ms:
            return
        self.at(self.rng.randint(800, 2_500), partial(self._meter, number))
        node, meter = self.nodes[number], address_of(meter_key(number).public)
        if identity(node.core.ledger.rows, meter) is None:
            self._issue(node, edge_key(number), Data("note", b"not yet"))
            return
        first = self.committed[number]
        last = first + self.rng.randint(0, 5)

        def committed() -> None:
            self.committed[number] = last + 1

        batch = ReadingBatch(meter, first, last, bytes(32))
        self._issue(node, edge_key(number), batch, then=committed)

    def _wallet(self, number: int) -> None:
        """A member pays; sometimes twice, at two nodes, with what it has only once."""
        if self.now_ms > self.issue_ms:
            return
        self.at(self.rng.randint(2_000, 5_000), partial(self._wallet, number))
        payer = member_key(number)
        payee = address_of(
            member_key(self.rng.choice([n for n in range(MEMBERS) if n != number])).public
        )
        payload = transfer_operation(TransferEeuro(payee, self.rng.randint(1, COINS_UEUR)))
        first, second = self.rng.sample(self.nodes, 2)
        nodes = [first, second] if self.rng.random() < 0.4 else [first]
        start = self._sequences[payer.public]
        is_copy = self.rng.random() < 0.5
        for offset, node in enumerate(nodes):
            if node.is_up and not node.is_busy:
                sequence = start if is_copy else start + offset
                parents = self._parents(node)
                tx = self.make.transaction(payer, sequence, parents, payload, START_MS)
                self._submit(node, payer, tx)
        self._sequences[payer.public] = start + (1 if is_copy else len(nodes))

    # What expired is issued again.

    @override
    def _acknowledged(self, node: SimulatedNode, key: SigningKey, tx: Verified) -> None:
        super()._acknowledged(node, key, tx)
        self.open[tx.tx_id] = self.taken[tx.tx_id] = node.number, key, tx

    @override
    def forgot(self, node: SimulatedNode) -> None:
        """Look again after all that a node took in: it may be settled nowhere else."""
        self.open.update((tx_id, one) for tx_id, one in self.taken.items() if one[0] == node.number)

    def _repeat(self) -> None:
        self.at(REPEAT_MS, self._repeat)
        for tx_id, (number, key, tx) in list(self.open.items()):
            node = self.nodes[number]
            if not node.is_up or node.is_busy:
                continue
            kept = node.stored.get(tx_id)
            if kept is not None and kept.referenced_index is not None:
                del self.open[tx_id]
            elif kept is None or node.core.state(tx_id) in (State.EXPIRED, State.UNKNOWN):
                fields = tx.transaction
                now_ms = self._instant(node).wall_ms
                parents = self._parents(node)
                again = self.make.transaction(key, fields.sequence, parents, fields.payload, now_ms)
                self._submit(node, key, again, partial(self._repeated, tx_id))

    def _repeated(self, tx_id: TransactionId) -> None:
        """Somebody was told that what expired is taken in anew."""
        del self.open[tx_id]
        self.repeated += 1
