"""How the C library keeps what a process has freed: on a small host it is given back."""

import ctypes
from typing import Final

M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
"""Names of glibc's `mallopt`."""

LARGE: Final = 256 * 2**10
"""Bytes from which on memory is the kernel's again once it is freed. Without a fixed number glibc
raises it to the largest block that was ever freed, and keeps such blocks for next time."""

ARENAS: Final = 2
"""Pools that the threads of a process share. Each would have its own, and keep there the most
that it ever used: a snapshot is written by whichever thread is idle, so soon all of them had."""


def give_back() -> bool:
    """Tell the C library so; return whether it listens. Another than glibc has no such habits."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_ARENA_MAX, ARENAS) and mallopt(M_MMAP_THRESHOLD, LARGE))
