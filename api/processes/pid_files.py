"""Who runs: pid files that cannot be fooled by a pid that was given to someone else."""

import fcntl
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

PROC: Final = Path("/proc")
_AFTER_COMM_STATE: Final = 0
_AFTER_COMM_START: Final = 19
"""Fields of /proc/PID/stat after the command's name: state is 3rd of all, start time 22nd."""


class ProcessMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One process of this machine, now and for ever: pids come back, marks do not."""

    pid: int
    start_ticks: int
    """Since the machine started, in clock ticks."""

    boot_id: str


def mark_of(pid: int) -> ProcessMark | None:
    """Return the mark of a running process; `None` if there is none or it is a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text("ascii", "replace")
        boot_id = (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the command's name stands in parentheses and may itself hold any character
    fields = stat.rpartition(")")[2].split()
    if fields[_AFTER_COMM_STATE] in ("Z", "X"):
        return None
    return ProcessMark(pid, int(fields[_AFTER_COMM_START]), boot_id)


def is_alive(mark: ProcessMark) -> bool:
    """Return whether exactly this process still runs."""
    return mark_of(mark.pid) == mark


def write_pid_file(file: Path, pid: int) -> None:
    """Note that `pid` runs; nothing is written if it has ended already."""
    mark = mark_of(pid)
    if mark is not None:
        temporary = file.with_name(f".{file.name}.new")
        temporary.write_bytes(msgspec.json.encode(mark))
        temporary.replace(file)


def read_pid_file(file: Path) -> ProcessMark | None:
    """Return the process noted in `file` if it still runs; a stale or torn file is no process."""
    try:
        mark = msgspec.json.decode(file.read_bytes(), type=ProcessMark)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return mark if is_alive(mark) else None


def send(mark: ProcessMark, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; return whether it was there to take it."""
    if not is_alive(mark):
        return False
    try:
        os.kill(mark.pid, number)
    except ProcessLookupError:
        return False
    return True


class FolderLock:
    """Held by the one `up` of a data folder; the kernel lets go of it when the process dies."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take the lock. Raises `BlockingIOError` if another process holds it."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
