"""What a milestone could newly reference, and how much of it lies under each parent.

Counting the cone of every tip by a walk costs tips · cone. Here one sweep over all that is pending
counts them together: an integer per vertex holds one bit for each vertex below it, a block of them
at a time, so that memory grows with the pending vertices and not with their square.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from tangle.graph import EMPTY
from tangle.transaction import TransactionId
from tip_selection.view import View

BLOCK: Final = 8_192
"""Vertices counted in one sweep: 1 KiB an integer, 50 MB in all at 50,000 pending."""

SWEEP_BUDGET: Final = 200_000
"""Vertices visited to count all cones once, some 0.1 s: exact beyond 50,000 pending."""

FIT_BUDGET: Final = 500_000
"""Vertices visited by walks that check whether a cone fits: ten of the largest size."""

TURN: Final = 8
"""Oldest pending transactions of one issuer that are urgent: more of them have no more weight."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What no milestone references and is not below max depth, numbered from 0, parents first.

    The last milestone is left out: every milestone approves the one before it anyway.
    """

    ids: tuple[TransactionId, ...]
    parents: tuple[tuple[int, ...], ...]
    """Numbers of the parents that are pending too."""

    sizes_bytes: tuple[int, ...]
    """Of the signed fields."""

    tips: tuple[int, ...]
    """Ascending: no child, or only children below max depth."""

    urgent: frozenset[int]
    """The first `TURN` of each issuer; of those who issue nothing that counts, none."""


@dataclass(frozen=True, slots=True, order=True)
class Weight:
    """How much of what waits lies under a tip.

    What is urgent counts first: one issuer, however much it issues, weighs no more than its turn.
    """

    urgent: int
    total: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much one new cone may hold."""

    transactions: int
    size_bytes: int


def pending(view: View) -> Pending:
    """Number what is pending now."""
    numbers: dict[TransactionId, int] = {}
    parents: list[tuple[int, ...]] = []
    sizes_bytes: list[int] = []
    urgent: list[int] = []
    turns: Counter[bytes] = Counter()
    # Whatever approves a vertex below max depth lies below it as well: what stays has its parents.
    for vertex in view.graph.unreferenced():
        if vertex.milestone_index is None and not view.is_below_max_depth(vertex):
            if vertex.issuer is None:
                urgent.append(len(numbers))
            elif vertex.issuer != EMPTY and turns[vertex.issuer] < TURN:
                turns[vertex.issuer] += 1
                urgent.append(len(numbers))
            parents.append(tuple(numbers[each] for each in vertex.parents if each in numbers))
            numbers[vertex.tx_id] = len(numbers)
            sizes_bytes.append(vertex.size_bytes)
    everything = range(len(parents))
    tips = childless(parents, everything)
    return Pending(tuple(numbers), tuple(parents), tuple(sizes_bytes), tips, frozenset(urgent))


def childless(parents: Iterable[tuple[int, ...]], numbers: Collection[int]) -> tuple[int, ...]:
    """Return those of `numbers` that are nobody's parent."""
    approved = {number for each in parents for number in each}
    return tuple(number for number in numbers if number not in approved)


def frontier(waiting: Pending, room: Room) -> tuple[int, ...]:
    """Return parents whose cones together are the oldest part of `waiting` that fits `room`.

    Attachment order is closed towards the past, so any of them fit together.
    """
    size_bytes = end = 0
    for each_bytes in waiting.sizes_bytes[: room.transactions]:
        size_bytes += each_bytes
        if size_bytes > room.size_bytes:
            break
        end += 1
    return childless(waiting.parents[:end], range(end))


class Cover:
    """Cones taken so far for one milestone, and the room that they leave."""

    def __init__(self, waiting: Pending, room: Room) -> None:
        self._waiting = waiting
        self._covered = bytearray(len(waiting.ids))
        self._transactions_left = room.transactions
        self._bytes_left = room.size_bytes
        self._fit_budget = FIT_BUDGET
        self.taken: list[int] = []

    def take_heaviest(self, options: Iterable[int]) -> bool:
        """Take the option over most that is uncovered, the oldest of equals; `False` if none fits.

        What does not fit is skipped.
        """
        weights = self.weights(options)
        by_weight = sorted(sorted(weights), key=weights.__getitem__, reverse=True)
        return any(self.take(number) for number in by_weight)

    def take(self, top: int) -> bool:
        """Cover the cone of `top`, if it is new, fits and the work budget lasts."""
        if self._covered[top] or self._fit_budget <= 0:
            return False
        cone = {top}
        size_bytes = 0
        walk = [top]
        while walk:
            number = walk.pop()
            size_bytes += self._waiting.sizes_bytes[number]
            if len(cone) > self._transactions_left or size_bytes > self._bytes_left:
                self._fit_budget -= len(cone)
                return False
            for parent in self._waiting.parents[number]:
                if parent not in cone and not self._covered[parent]:
                    cone.add(parent)
                    walk.append(parent)
        for number in cone:
            self._covered[number] = 1
        self._transactions_left -= len(cone)
        self._bytes_left -= size_bytes
        self._fit_budget -= len(cone)
        self.taken.append(top)
        return True

    def weights(self, options: Iterable[int]) -> dict[int, Weight]:
        """Return how much of each uncovered option's cone is uncovered, itself included.

        Where there is more than `SWEEP_BUDGET` to visit, the oldest blocks are counted and the rest
        is not: what is oldest is the most urgent.
        """
        urgent = self._waiting.urgent
        weights = {number: Weight(0, 0) for number in options if not self._covered[number]}
        alive = [number for number, covered in enumerate(self._covered) if not covered]
        tips = frozenset(self._waiting.tips)
        for tip in weights.keys() & tips:  # a tip lies in its own cone only and needs no bit
            weights[tip] = Weight(tip in urgent, 1)
        columns = [number for number in alive if number not in tips]
        visits = 0
        for at in range(0, len(columns), BLOCK):
            start = bisect_left(alive, columns[at])
            visits += len(alive) - start
            if visits > SWEEP_BUDGET and at > 0:
                break
            self._weigh_block(weights, alive[start:], columns[at : at + BLOCK])
        return weights

    def _weigh_block(
        self, weights: dict[int, Weight], alive: list[int], columns: list[int]
    ) -> None:
        """Add to `weights` how many of `columns` lie in each cone."""
        bits = {number: 1 << place for place, number in enumerate(columns)}
        urgent = sum(bits[number] for number in columns if number in self._waiting.urgent)
        below = [0] * len(self._covered)  # what precedes the block, or is covered, stays 0
        parents = self._waiting.parents
        for number in alive:
            mask = bits.get(number, 0)
            for parent in parents[number]:
                mask |= below[parent]
            below[number] = mask
            if number in weights:
                before = weights[number]
                weights[number] = Weight(
                    before.urgent + (mask & urgent).bit_count(), before.total + mask.bit_count()
                )
