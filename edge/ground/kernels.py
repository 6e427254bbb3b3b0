"""Compiled kernels, where this machine has the compiler and they pay."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Protocol, cast

import structlog

from tangle.graph import Graph
from tangle.node import NodeCore
from tangle.transaction import TransactionId
from tangle.window import Weights

COMPILER: Final = "numba"
"""A dependency where it has wheels; a small device does without."""

READY: Final = "tangle.ready_kernels"

PAYS_FROM: Final = 2_000
"""Transactions in the window: up to there plain Python is quick enough, and what a compiler takes
of memory, some 100 MB, is spared."""

LOOK_S: Final = 1.0

_log: Final = structlog.get_logger(__name__)


class Kernels(Protocol):
    """What `tangle.ready_kernels` gives."""

    @property
    def weights(self) -> Callable[[Graph], Weights]:
        """Make the weights of a graph."""
        ...

    @property
    def find_nonce(self) -> Callable[[TransactionId, int], bytes]:
        """Find a nonce without the interpreter's lock."""
        ...


def load_kernels() -> Kernels | None:
    """Load and compile; `None` where there is no compiler, or none that runs.

    Takes seconds the first time. May run in any thread.
    """
    if find_spec(COMPILER) is None:
        return None
    try:
        # Not imported above: whoever never gets this far does not pay for the compiler.
        ready = import_module(READY)
        return cast("Kernels", ready.compile_kernels())
    except (ImportError, OSError) as error:  # broken for this processor, or no room for its cache
        _log.warning("kernels.unavailable", why=str(error))
        return None


async def load_when_it_pays(core: NodeCore) -> Kernels | None:
    """Wait until the window of `core` is large, then load in another thread."""
    while len(core.graph) < PAYS_FROM:  # noqa: ASYNC110 — a look a second is less than an event
        await asyncio.sleep(LOOK_S)
    return await asyncio.to_thread(load_kernels)
