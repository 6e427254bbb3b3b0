"""Whatever a seed mixes, the rules hold; and a seed plays the same world on every machine."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tangle.outcomes import Applied, Ignored
from tests.simulation.equivocation import equivocation
from tests.simulation.mixtures import CLOCKS, TROUBLES, VILLAINS, mixture, play
from tests.simulation.test_network import verify_outcome

SEEDS = int(os.environ.get("TANGLEWATT_SEEDS", "120"))
"""How many seeds a run plays, beside a hundred worlds of other tests; a nightly run plays 1,000."""
PER_TEST = 20


@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_the_rules_hold_whatever_happens_together(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, min(first + PER_TEST, SEEDS)):
        print(f"to repeat: python -m tests.simulation.replay {seed}")  # noqa: T201 # says how

        world = play(mixture(seed))

        verify_outcome(world, least=2)
        for confirmed in world.nodes[0].milestones:
            seen.update(type(outcome).__name__ for _, outcome in confirmed.outcomes)
        seen["promotions"] += world.promotions
    # A simulation that moved nothing and met no conflict would prove nothing.
    assert seen[Applied.__name__], seen
    assert seen[Ignored.__name__], seen
    assert seen["promotions"], seen


@pytest.mark.parametrize("seed", [17, 48])
def test_a_seed_replays_exactly_in_another_process(seed: int) -> None:
    """Of another process even the order of sets of bytes differs."""
    runs = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation.replay", str(seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert runs[0] == runs[1]
    assert runs[0].splitlines()[-1] == play(mixture(seed)).trace


def test_seeds_draw_every_scenario() -> None:
    names = " ".join(mixture(seed).name for seed in range(100))

    drawn = (*CLOCKS, *TROUBLES, *VILLAINS, equivocation)
    assert [one.__name__ for one in drawn if one.__name__ not in names] == []
