"""Measures how fast a new node catches up with one that has a long journal.

    python -m scripts.measure_catch_up [--transactions 100000] [--per-milestone 50] [--profile]

Makes the journal first (under a folder that it removes), then lets a second node fetch it cone by
cone, both in this process, without a network between them: what is measured is the work.
"""

import argparse
import cProfile
import pstats
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from edge.executor import Executor
from tangle.effects import Instant, PeerId
from tests.community import START_MS
from tests.edge.history import Silence, Wires, extend, opened

NEW = PeerId(b"n" * 32)
OLD = PeerId(b"o" * 32)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--per-milestone", type=int, default=50)
    parser.add_argument("--profile", action="store_true")
    wishes = parser.parse_args()
    milestones = wishes.transactions // wishes.per_milestone
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        journal, core = opened(Path(folder) / "old")
        with journal:
            extend(Executor(core, journal, Silence(), Random(1)), milestones, wishes.per_milestone)
            say(f"made {journal.counts().transactions} transactions", began)
            profile = cProfile.Profile()
            if wishes.profile:
                profile.enable()
            catch_up(Path(folder) / "new", Executor(core, journal, Silence(), Random(1)))
            profile.disable()
            if wishes.profile:
                pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(45)


def catch_up(folder: Path, old: Executor) -> None:
    """Let a new node in `folder` fetch all that `old` has."""
    wires = Wires()
    journal, core = opened(folder)
    with journal:
        new = Executor(core, journal, wires.join(NEW), Random(2))
        given = Executor(old.core, old.journal, wires.join(OLD), Random(3))
        now = Instant(START_MS + 10**8, START_MS + 10**8)
        began, used = time.perf_counter(), time.process_time()
        wires.ends[OLD].broadcast(given.heartbeat("1"))
        serving = 0.0
        while core.confirmed_id != old.core.confirmed_id:
            wires.deliver({NEW: new}, now)
            before = time.process_time()
            wires.deliver({OLD: given}, now)
            serving += time.process_time() - before
        used = time.process_time() - used
        say(f"caught up to milestone {core.confirmed_index}", began)
        sys.stdout.write(f"CPU: {used:.1f} s, {serving:.1f} s of it for serving\n")
        assert core.state_root == old.core.state_root


def say(what: str, began: float) -> None:
    """Print what was done and how long it took."""
    sys.stdout.write(f"{what} in {time.perf_counter() - began:.1f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
