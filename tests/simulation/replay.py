"""Plays the mixture of one seed again: `python -m tests.simulation.replay SEED`."""

import sys

from tests.simulation.mixtures import mixture, play
from tests.simulation.test_network import verify_outcome


def main() -> None:
    """Print where all nodes stand in the end, and the trace of all that happened."""
    world = mixture(int(sys.argv[1]))
    sys.stdout.write(f"{world.name}\n")
    try:
        verify_outcome(play(world), least=2)
    finally:
        sys.stdout.write(f"{world.said()}\n{world.trace}\n")


if __name__ == "__main__":
    main()
