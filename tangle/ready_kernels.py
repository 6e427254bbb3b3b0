"""All kernels, compiled: what a node takes into use once they are. Loads NumPy and Numba.

Nothing imports this by name but who loads it on purpose: a node does without until then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tangle import work_kernel
from tangle.graph import Graph
from tangle.hashing import HASH_SIZE
from tangle.mirror import Mirror
from tangle.transaction import TransactionId
from tangle.walking import Walk

_BITS: Final = 1


@dataclass(frozen=True, slots=True)
class Kernels:
    """Compiled twins, ready at once."""

    weights: Callable[[Graph], Mirror]
    find_nonce: Callable[[TransactionId, int], bytes]


def compile_kernels() -> Kernels:
    """Run every kernel once, so that all are compiled or read from disk, and return them.

    Takes some seconds the first time on a machine, mostly with the interpreter's lock.
    """
    ids = [TransactionId(bytes([number]) * HASH_SIZE) for number in range(4)]
    graph = Graph([(ids[0], 0), (ids[1], 0)])
    for tx_id in ids[2:]:
        graph.attach(tx_id, (ids[0], ids[1]), 0, 0)
    mirror = Mirror(graph)
    mirror.walk(Walk(ids[0], 1.0, seed=0, oldest_root_index=0, budget=100))
    graph.drop(ids[3])
    mirror.drop(ids[3])
    assert mirror.weight(ids[0]) == 2, "a kernel counts wrong"
    work_kernel.find_nonce(ids[0], _BITS)
    return Kernels(Mirror, work_kernel.find_nonce)
