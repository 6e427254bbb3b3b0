"""How a loop becomes machine code. Importing this loads Numba."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function as machine code from the first call on, without the interpreter's lock.

    Kept on disk for the next process: beside the module, or else in a folder of the user, or where
    `NUMBA_CACHE_DIR` says.
    """
    try:
        return cast("Callable[P, R]", njit(nogil=True, cache=True)(function))
    except RuntimeError:  # neither the installation nor a folder of the user can be written
        return cast("Callable[P, R]", njit(nogil=True)(function))
