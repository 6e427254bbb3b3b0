"""What is read of running processes and their folders: memory, files, progress."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

KIB = 1_024


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process at one moment."""

    rss_bytes: int
    """Resident, what it shares with others included."""

    pss_bytes: int
    """Resident, what is shared divided among those who share it."""

    files: int
    """Open descriptors."""

    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The whole community at one moment."""

    hours: float
    """Simulated, since the meters began."""

    processes: Mapping[str, ProcessSample]
    """Those that ran."""

    disk: Mapping[str, int]
    """Bytes by kind: each node's journal and snapshots, the meters' outboxes, all logs."""

    held_bytes: int | None
    """By the control group, without page cache."""

    milestone: int
    sent: int
    confirmed: int
    """Readings on all nodes."""


def read_process(pid: int) -> ProcessSample | None:
    """Return what the kernel says of a process; `None` if it is gone."""
    folder = Path("/proc", str(pid))
    try:
        memory = _fields(folder / "smaps_rollup")
        status = _fields(folder / "status")
        files = len(os.listdir(folder / "fd"))  # noqa: PTH208 — the names are enough
    except OSError:
        return None
    if "Rss" not in memory:
        return None
    return ProcessSample(memory["Rss"] * KIB, memory["Pss"] * KIB, files, status["Threads"])


def disk_usage(root: Path, nodes: Iterable[str]) -> dict[str, int]:
    """Return the bytes of a data folder by kind."""
    usage: dict[str, int] = {}
    for node in nodes:
        data = root / node / "data"
        # with its log of writes: what was written lies in the one or in the other
        usage[f"{node} journal"] = sum(map(_size, data.glob("journal.sqlite3*")))
        usage[f"{node} snapshots"] = sum(map(_size, data.glob("snapshots/*")))
    usage["meters"] = sum(map(_size, root.glob("homes/*/data/*")))
    usage["logs"] = sum(map(_size, root.glob("logs/*")))
    return usage


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _fields(file: Path) -> dict[str, int]:
    """Return the lines `Name: NUMBER` of a file of the kernel; the first line may be another."""
    found = {}
    for line in file.read_text("ascii", "replace").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0])
    return found
