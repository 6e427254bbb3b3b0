"""Waits for what real processes bring about: the one place of these tests that sleeps for it."""

import time
from collections.abc import Callable
from typing import Final

POLL_S: Final = 0.05
LIMIT_S: Final = 60.0


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> float:
    """Wait until something holds, and return how many seconds that took; fail with `what`."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < limit_s, f"not in {limit_s:.0f} s: {what}"
        # Another process's file, port or milestone: nothing here could be woken by it.
        time.sleep(POLL_S)
    return time.monotonic() - started
