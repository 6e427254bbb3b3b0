"""Waits for what other processes bring about: the one place of the commands that sleeps for it."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

POLL_S: Final = 0.1
"""Between two looks: a milestone comes every second or two, and a look costs milliseconds."""


def poll(look: Callable[[], T | None], limit_s: float) -> T | None:
    """Look until there is something to see, at least once.

    Args:
        look: Returns what is waited for, `None` while it is not there.
        limit_s: How long to go on.

    Returns:
        What was seen; `None` if the time was over first.
    """
    deadline_s = time.monotonic() + limit_s
    while (found := look()) is None and time.monotonic() < deadline_s:
        # The state of another process: HTTP asks for it, and nothing here could be woken by it.
        time.sleep(POLL_S)
    return found
