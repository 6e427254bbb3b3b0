"""Children that outlived an `up` that was killed: found by their pid files, and ended."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

from api.processes.pid_files import ProcessMark, is_alive, read_pid_file, send

POLL_S: Final = 0.05


def stop_leftovers(
    pid_files: Iterable[Path], grace_s: float, sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """End every process that the pid files name: SIGTERM, a grace, SIGKILL.

    Returns:
        The names of those that still ran.
    """
    alive = {file: mark for file in pid_files if (mark := read_pid_file(file)) is not None}
    for mark in alive.values():
        send(mark, SIGTERM)
    if not wait_gone(alive.values(), grace_s, sleep):
        for mark in alive.values():
            send(mark, SIGKILL)
        wait_gone(alive.values(), grace_s, sleep)
    for file in alive:
        file.unlink(missing_ok=True)
    return [file.stem for file in alive]


def wait_gone(
    marks: Iterable[ProcessMark], timeout_s: float, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Return whether all have ended before the time is over."""
    marks = list(marks)
    waited_s = 0.0
    while any(is_alive(mark) for mark in marks):
        if waited_s >= timeout_s:
            return False
        sleep(POLL_S)
        waited_s += POLL_S
    return True
