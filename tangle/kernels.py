"""Compiled loops over a window as arrays: weights by bit-sliced sweeps, and random walks.

Importing this needs NumPy and Numba, and compiles nothing: each kernel compiles at its first call
and is kept on disk for the next process. What they compute is defined by their plain twins in
`weights` and `walking`. They run without the interpreter's lock.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tangle.compiling import compiled
from tangle.walking import MIX_1, MIX_2, STRIDE

WORDS: Final = 4
"""Of 64 bits in an id."""

SLICE: Final = 64
"""Transactions in one sweep: one bit each."""

NOWHERE: Final = 0
"""The place of no vertex: stands for every parent that is forgotten."""

END: Final = 0
"""The edge of no vertex: ends a list of children."""

_STRIDE: Final = np.uint64(STRIDE)
_MIX_1: Final = np.uint64(MIX_1)
_MIX_2: Final = np.uint64(MIX_2)
_ONE: Final = np.uint64(1)
_NONE: Final = np.uint64(0)
_EVERY_2: Final = np.uint64(0x5555555555555555)
_EVERY_4: Final = np.uint64(0x3333333333333333)
_EVERY_8: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONES: Final = np.uint64(0x0101010101010101)
_SHIFTS: Final = tuple(np.uint64(count) for count in (1, 2, 4, 56))
_SHIFT_11: Final = np.uint64(11)
_SHIFT_27: Final = np.uint64(27)
_SHIFT_30: Final = np.uint64(30)
_SHIFT_31: Final = np.uint64(31)


class Arrays(NamedTuple):
    """A window by places from 1 on: each vertex has one, and its parents have lower ones.

    A vertex's edges to its parents stand one after the other; an edge is also a link in the list of
    that parent's children, which is in no order.
    """

    keys: NDArray[np.uint64]
    """Ids, `WORDS` each, so that they compare as the bytes do."""

    weights: NDArray[np.int64]
    roots: NDArray[np.int32]
    """Oldest cone root; above all for what is referenced."""

    masks: NDArray[np.uint64]
    """Of sweeps; 0 between two."""

    first_edges: NDArray[np.int32]
    """One more than there are vertices: where the next vertex's edges begin."""

    first_links: NDArray[np.int32]
    child_counts: NDArray[np.int32]
    parents: NDArray[np.int32]
    """By edge."""

    children: NDArray[np.int32]
    """By edge."""

    next_links: NDArray[np.int32]
    """By edge."""


@compiled
def link(arrays: Arrays, start: int, counts: NDArray[np.int32], parents: NDArray[np.int32]) -> None:
    """Enter vertices from `start` on, with so many parents each, by place or `NOWHERE`."""
    edge = arrays.first_edges[start]
    at = 0
    for number in range(counts.shape[0]):
        place = start + number
        arrays.first_links[place] = END
        arrays.child_counts[place] = 0
        for _ in range(counts[number]):
            parent = parents[at]
            at += 1
            arrays.parents[edge] = parent
            arrays.children[edge] = place
            if parent != NOWHERE:
                arrays.next_links[edge] = arrays.first_links[parent]
                arrays.first_links[parent] = edge
                arrays.child_counts[parent] += 1
            edge += 1
        arrays.first_edges[place + 1] = edge


@compiled
def unlink(arrays: Arrays, places: NDArray[np.int32]) -> None:
    """Take vertices without children out of their parents' lists."""
    for place in places[::-1]:  # the newest child is the first in its parents' lists
        for edge in range(arrays.first_edges[place], arrays.first_edges[place + 1]):
            parent = arrays.parents[edge]
            if parent == NOWHERE:
                continue
            arrays.child_counts[parent] -= 1
            after = arrays.next_links[edge]
            before = arrays.first_links[parent]
            if before == edge:
                arrays.first_links[parent] = after
                continue
            while arrays.next_links[before] != edge:
                before = arrays.next_links[before]
            arrays.next_links[before] = after


@compiled
def sweep(arrays: Arrays, changed: NDArray[np.int32], sign: int) -> None:
    """Add `sign` for each of `changed`, ascending places, to its weight and its past cone's."""
    masks, weights = arrays.masks, arrays.weights
    first_edges, parents = arrays.first_edges, arrays.parents
    for begin in range(0, changed.shape[0], SLICE):
        end = min(begin + SLICE, changed.shape[0])
        for number in range(begin, end):
            masks[changed[number]] = _ONE << np.uint64(number - begin)
        # Unsigned places and no condition in the inner loop: that is three times as fast.
        place = np.uint64(changed[end - 1])
        while place != _NONE:
            mask = masks[place]
            edge = np.uint64(first_edges[place])
            while edge != np.uint64(first_edges[place + _ONE]):
                masks[np.uint64(parents[edge])] |= mask
                edge += _ONE
            place -= _ONE
        for number in range(changed[end - 1] + 1):
            weights[np.uint64(number)] += sign * _bits(masks[np.uint64(number)])
            masks[np.uint64(number)] = _NONE


@compiled
def walk(
    arrays: Arrays, start: int, alpha: float, oldest: int, budget: int, seed: np.uint64
) -> tuple[int, int]:
    """Return the place where a walk ends, `NOWHERE` if over budget, and what is left of it."""
    onward = np.empty(16, np.int32)
    here, state = start, seed
    while True:
        budget -= 1 + arrays.child_counts[here]
        if budget < 0:
            return NOWHERE, 0
        if onward.shape[0] < arrays.child_counts[here]:
            onward = np.empty(2 * arrays.child_counts[here], np.int32)
        count = 0
        edge = arrays.first_links[here]
        while edge != END:
            child = arrays.children[edge]
            if arrays.roots[child] >= oldest:
                onward[count] = child
                count += 1
            edge = arrays.next_links[edge]
        if count == 0:
            return here, budget
        if count == 1:
            here = onward[0]
            continue
        _sort(arrays.keys, onward, count)
        state += _STRIDE
        here = onward[_turn(arrays.weights, onward, count, alpha, _share(state))]


@compiled
def _bits(mask: np.uint64) -> np.int64:
    """Return how many bits are set. Compilers know this form as one instruction."""
    mask -= (mask >> _SHIFTS[0]) & _EVERY_2
    mask = (mask & _EVERY_4) + ((mask >> _SHIFTS[1]) & _EVERY_4)
    mask = (mask + (mask >> _SHIFTS[2])) & _EVERY_8
    return np.int64((mask * _ONES) >> _SHIFTS[3])


@compiled
def _share(state: np.uint64) -> float:
    """Return the draw of one state of `Dice`."""
    mixed = (state ^ (state >> _SHIFT_30)) * _MIX_1
    mixed = (mixed ^ (mixed >> _SHIFT_27)) * _MIX_2
    return ((mixed ^ (mixed >> _SHIFT_31)) >> _SHIFT_11) * 2.0**-53


@compiled
def _turn(
    weights: NDArray[np.int64], onward: NDArray[np.int32], count: int, alpha: float, share: float
) -> int:
    """Return which child a draw stands for; sums in the order of `accumulate`."""
    heaviest = weights[onward[0]]
    for number in range(1, count):
        heaviest = max(heaviest, weights[onward[number]])
    total = 0.0
    edges = np.empty(count, np.float64)
    for number in range(count):
        total += math.exp(alpha * (weights[onward[number]] - heaviest))
        edges[number] = total
    point = share * total
    number = 0
    while number < count - 1 and edges[number] <= point:
        number += 1
    return number


@compiled
def _sort(keys: NDArray[np.uint64], places: NDArray[np.int32], count: int) -> None:
    """Sort the first `count` places by id: by insertion over shrinking gaps (Shell, 1959)."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for number in range(gap, count):
            place = places[number]
            at = number
            while at >= gap and _precedes(keys, place, places[at - gap]):
                places[at] = places[at - gap]
                at -= gap
            places[at] = place
        gap //= 3


@compiled
def _precedes(keys: NDArray[np.uint64], left: int, right: int) -> bool:
    for word in range(WORDS):
        if keys[left, word] != keys[right, word]:
            return bool(keys[left, word] < keys[right, word])
    return False
