"""A host of so much memory and one core, as far as this machine lets one be made.

The memory of all processes together is limited by a control group, of version 2 or 1, page cache
included, as on a machine of that size. Where none may be made, each process alone is limited by
RLIMIT_DATA to what the whole host would have, and their sum is only measured.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
NICE: Final = 5


@dataclass(frozen=True, slots=True)
class Host:
    """What processes run in."""

    limit_bytes: int
    core: int
    group: Path | None
    """Folder of the control group; `None` where none may be made."""

    is_unified: bool

    def command(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """Return how to run a command in it; its pid is that of what this starts."""
        if self.group is not None:
            into = f"echo $$ > {shlex.quote(str(self.group / 'cgroup.procs'))}"
        else:
            into = f"ulimit -d {self.limit_bytes // 1_024}"
        script = f'{into} && exec nice -n {NICE} taskset -c {self.core} "$@"'
        return ("/bin/sh", "-c", script, "sh", *command)

    @property
    def kind(self) -> str:
        """What limits the memory, in words."""
        if self.group is None:
            return "RLIMIT_DATA for each process (no control group may be made here)"
        return f"a control group (version {2 if self.is_unified else 1}) around all of them"

    def used_bytes(self) -> int | None:
        """Return what the group holds without page cache that can go; `None` without a group."""
        if self.group is None:
            return None
        lines = (self.group / "memory.stat").read_text("ascii").splitlines()
        counted = {name: int(value) for name, value in (line.split() for line in lines)}
        if self.is_unified:
            return counted["anon"] + counted["shmem"] + counted.get("kernel", 0)
        return counted["total_rss"] + counted.get("total_shmem", 0)

    def peak_bytes(self) -> int | None:
        """Return the most that was charged to the group, page cache included."""
        if self.group is None:
            return None
        names = ("memory.peak",) if self.is_unified else ("memory.max_usage_in_bytes",)
        return next(
            (
                int((self.group / name).read_text())
                for name in names
                if (self.group / name).exists()
            ),
            None,
        )

    def kills(self) -> int | None:
        """Return how many processes the kernel killed because the memory was out."""
        if self.group is None:
            return None
        name = "memory.events" if self.is_unified else "memory.oom_control"
        lines = (self.group / name).read_text("ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@contextmanager
def host(limit_bytes: int, core: int | None = None) -> Iterator[Host]:
    """Make a host; its processes must have ended when it is taken away."""
    own = max(os.sched_getaffinity(0)) if core is None else core
    made = _group(limit_bytes)
    try:
        yield Host(limit_bytes, own, *made)
    finally:
        if made[0] is not None:
            made[0].rmdir()


def _group(limit_bytes: int) -> tuple[Path | None, bool]:
    name = f"tanglewatt-soak-{os.getpid()}"
    for parent, limit, swap in (
        (ROOT, "memory.max", "memory.swap.max"),
        (ROOT / "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    ):
        folder = parent / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():
            (folder / limit).write_text(str(limit_bytes))
            if (folder / swap).exists():  # version 2 counts it apart, version 1 both together
                (folder / swap).write_text("0" if parent == ROOT else str(limit_bytes))
            return folder, parent == ROOT
        folder.rmdir()
    return None, False
