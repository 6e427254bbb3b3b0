"""The limit: how many signatures these processors verify, and nothing else.

A node that verifies everything cannot be faster. PyNaCl's own function is called, in the loop that
the node calls it in, by one thread and by as many as there are processors.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import Final

from api.bench.figures import Figure
from edge.node.checking import CHUNK, judged_one_by_one
from tangle.keys import KEY_SIZE, SignedMessage, SigningKey
from tangle.signature_kernel import SignatureKernel, is_compiled

MESSAGE_SIZE: Final = 210
"""Bytes: the signed fields of a usual transaction and their domain prefix."""

_KEYS: Final = 64


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast something went once."""

    per_s: float
    """By the wall clock."""

    cpu_us: float
    """Processor time of all threads for one item."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def signed_messages(count: int, rng: Random) -> list[SignedMessage]:
    """Return so many messages with the signatures before them."""
    keys = [SigningKey(rng.randbytes(KEY_SIZE)) for _ in range(_KEYS)]
    messages = [rng.randbytes(MESSAGE_SIZE) for _ in range(count)]
    return [
        (keys[at % _KEYS].public, keys[at % _KEYS].sign(one) + one)
        for at, one in enumerate(messages)
    ]


def verify_speed(messages: Sequence[SignedMessage], threads: int) -> Speed:
    """Return how fast so many threads verify `messages`, all of which are signed."""
    judge = SignatureKernel().verdicts if is_compiled() else judged_one_by_one
    chunks = [messages[at : at + CHUNK] for at in range(0, len(messages), CHUNK)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(judge, chunks[:threads]))  # the threads are there before the clock runs
        began, used = perf_counter(), process_time()
        found = [verdict for verdicts in pool.map(judge, chunks) for verdict in verdicts]
        took, used = perf_counter() - began, process_time() - used
    assert all(found), "a good signature was refused"
    return Speed(len(messages) / took, used / len(messages) * 1e6)


def limit_figures(rounds: int, signatures: int) -> Iterator[Figure]:
    """Yield how many signatures one processor verifies in a second, and how many all do."""
    messages = signed_messages(signatures, Random(1))
    for name, threads in (("limit.one", 1), ("limit.all", processors())):
        speeds = [verify_speed(messages, threads) for _ in range(rounds)]
        yield speed_figure(name, "signatures/s", speeds)


def speed_figure(
    name: str, unit: str, speeds: Sequence[Speed], limits: Sequence[Speed] = ()
) -> Figure:
    """Return speeds as one figure, held against the median of `limits`."""
    per_s, cpu_us = tuple(one.per_s for one in speeds), [one.cpu_us for one in speeds]
    limit = median(one.per_s for one in limits) if limits else None
    return Figure(name, unit, per_s, limit, median(cpu_us))
