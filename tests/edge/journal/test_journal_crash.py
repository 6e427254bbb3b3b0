import random
import subprocess
import sys
from pathlib import Path

from edge.journal.entries import Counts
from edge.journal.journal import Journal
from tests.edge.committing import COUNTER, PER_ROUND
from tests.edge.making import DEVICE, GENESIS, NETWORK

REPOSITORY = Path(__file__).parents[3]
KILLS = 12
SEED = 20_240_601


def acknowledged_until_killed(folder: Path, lines: int) -> int:
    """Return the last round that a process called durable before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "tests.edge.committing", str(folder)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()  # at once, while it is busy with the next commits
        said += process.stdout.readlines()
    return int([line for line in said if line.endswith("\n")][-1])


def test_a_kill_at_any_instant_loses_nothing_acknowledged_and_halves_no_commit(
    tmp_path: Path,
) -> None:
    rng = random.Random(SEED)
    for _ in range(KILLS):
        acknowledged = acknowledged_until_killed(tmp_path, rng.randint(1, 30))

        with Journal(tmp_path, NETWORK) as journal:
            restored = journal.restore(GENESIS, 5)
            rounds = journal.counter(COUNTER)
            assert acknowledged <= rounds <= acknowledged + 1
            assert restored is not None
            assert restored.index == rounds
            assert restored.rows[b"round"] == b"%d" % rounds
            assert restored.recent[-1].tx_id == restored.milestone_id
            # the milestone itself is what no later one references yet
            assert journal.counts() == Counts(
                transactions=rounds * (PER_ROUND + 1),
                pending=rounds,
                milestones=rounds,
                readings=rounds,
            )
            assert journal.meters() == {DEVICE: ((1, rounds),)}
            assert len(journal.referenced_by(rounds)) == PER_ROUND
