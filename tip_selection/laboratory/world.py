"""The tangle of an experiment, as everybody sees it one delay after it was issued."""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Final

from tangle.cones import new_cone
from tangle.genesis import Parameters
from tangle.graph import Graph
from tangle.hashing import HASH_SIZE
from tangle.transaction import TransactionId
from tangle.window import Weights
from tip_selection.checkpoints import merging_checkpoints
from tip_selection.heaviest_branch import select_heaviest_branch
from tip_selection.laboratory.experiment import Experiment
from tip_selection.laboratory.record import Branch, Entry, Party, joined
from tip_selection.view import UNMEASURED, Load, View
from tip_selection.weighted_walk import PPM

SIZE_BYTES: Final = 250
"""Of every transaction: cones are bounded by bytes as well."""

MAX_CHECKPOINT_ROUNDS: Final = 8
"""Before one milestone; each halves the tips."""


class World:
    """Grows by what is issued, attached when it is seen. Mutable; of one experiment."""

    def __init__(self, experiment: Experiment, made: Callable[[Graph], Weights]) -> None:
        """Begin with two entry points. `made` makes the weights: plain or compiled."""
        self.entries: list[Entry] = []
        self._ids: list[TransactionId] = []
        self._numbers: dict[TransactionId, int] = {}
        for _ in range(2):
            self._record(Entry(0.0, (), Party.GENESIS, Branch.NEITHER, seen_s=0.0))
        self.graph = Graph([(tx_id, 0) for tx_id in self._ids])
        self.weights = made(self.graph)
        self.index = 0
        self._delay_s = experiment.delay_s
        self._last_milestone = self._referenced = 0
        self._in_flight: deque[tuple[float, int]] = deque()
        self._parameters = Parameters(alpha_ppm=round(experiment.alpha * PPM))
        load = Load(experiment.total_rate_per_s, experiment.delay_s)
        self._load = load if experiment.is_bounded else UNMEASURED

    @property
    def view(self) -> View:
        """The tangle as a selector sees it."""
        return View(self.graph, self.weights, self.index, self._parameters, self._load)

    def number_of(self, tx_id: TransactionId) -> int:
        """Return the place in the record."""
        return self._numbers[tx_id]

    def id_of(self, number: int) -> TransactionId:
        """Return the id of a place in the record."""
        return self._ids[number]

    def is_seen(self, number: int) -> bool:
        """Tell whether everybody sees it and nobody has forgotten it."""
        return self._ids[number] in self.graph

    def issue(
        self,
        parents: tuple[int, ...],
        now_s: float,
        party: Party,
        branch: Branch = Branch.NEITHER,
        *,
        is_secret: bool = False,
    ) -> int:
        """Issue a transaction now, under a branch of its own or that of its parents; its number."""
        branches = [self.entries[parent].branch for parent in parents]
        entry = Entry(now_s, parents, party, joined([branch, *branches]))
        number = self._record(entry)
        for parent in parents:
            approved = self.entries[parent]
            if approved.first_approved_s is None:
                approved.first_approved_s = now_s
        if not is_secret:
            self.publish(number, now_s)
        return number

    def publish(self, number: int, now_s: float) -> None:
        """Let everybody see it, one delay from now."""
        self._in_flight.append((now_s + self._delay_s, number))

    def reveal(self, until_s: float) -> list[int]:
        """Attach what is seen by then; return the numbers. What has no parents left is lost."""
        seen = []
        while self._in_flight and self._in_flight[0][0] <= until_s:
            at_s, number = self._in_flight.popleft()
            if all(self.is_seen(parent) for parent in self.entries[number].parents):
                self._attach(number, at_s)
                seen.append(number)
        return seen

    def confirm(self, now_s: float, rng: Random) -> None:
        """Let the coordinator merge tips and issue a milestone. Both are seen at once."""
        for _ in range(MAX_CHECKPOINT_ROUNDS):
            pairs = merging_checkpoints(self.view, rng)
            for pair in pairs:
                numbers = tuple(self._numbers[tx_id] for tx_id in pair)
                self._attach(self._issued_here(numbers, now_s), now_s)
            if not pairs:
                break
        chosen = select_heaviest_branch(self.view, rng)
        parents = {self._last_milestone, *(self._numbers[tx_id] for tx_id in chosen)}
        number = self._issued_here(tuple(sorted(parents)), now_s)
        self._reference(number, now_s)
        self._last_milestone = number
        self._forget(now_s)

    def _issued_here(self, parents: tuple[int, ...], now_s: float) -> int:
        return self.issue(parents, now_s, Party.COORDINATOR, is_secret=True)

    def _reference(self, number: int, now_s: float) -> None:
        self.index += 1
        entry, tx_id = self.entries[number], self._ids[number]
        parents = self._parent_ids(number)
        cone = new_cone(self.graph, parents, self.index - 1)
        self.graph.mark_referenced(cone.order, self.index)
        self.graph.attach_milestone(tx_id, parents, SIZE_BYTES, 0, self.index)
        self.weights.add(tx_id)
        entry.seen_s = now_s
        for referenced in cone.order:
            done = self.entries[self._numbers[referenced]]
            done.referenced_s, done.ledger_place = now_s, self._referenced
            self._referenced += 1

    def _forget(self, now_s: float) -> None:
        """Let go of what no milestone can take any more, and of what is referenced long ago."""
        deepest = self.index + 1 - self._parameters.reference_depth
        hopeless = [
            vertex.tx_id
            for vertex in self.graph.unreferenced()
            if vertex.oldest_root_index < deepest and vertex.milestone_index is None
        ]
        for tx_id in reversed(hopeless):
            self.weights.drop(tx_id)
            self.graph.drop(tx_id)
            self.entries[self._numbers[tx_id]].expired_s = now_s
        oldest_kept = self.index - self._parameters.reference_depth - 1
        self.weights.forget(self.graph.forget(oldest_kept))

    def _attach(self, number: int, at_s: float) -> None:
        tx_id = self._ids[number]
        self.graph.attach(tx_id, self._parent_ids(number), SIZE_BYTES, 0)
        self.weights.add(tx_id)
        self.entries[number].seen_s = at_s

    def _parent_ids(self, number: int) -> tuple[TransactionId, ...]:
        return tuple(sorted(self._ids[parent] for parent in self.entries[number].parents))

    def _record(self, entry: Entry) -> int:
        number = len(self.entries)
        tx_id = TransactionId(blake2b(number.to_bytes(8, "big"), digest_size=HASH_SIZE).digest())
        self.entries.append(entry)
        self._ids.append(tx_id)
        self._numbers[tx_id] = number
        return number
