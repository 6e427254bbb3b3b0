"""A flood at ten times the honest rate, in a network of real processes: others hardly notice."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.network.flooding import HONEST, door_flood, honest_waits, mesh_flood, running_nodes
from tests.network.killing import DEADLINE_S, World
from tests.network.waiting import wait_until

IS_NIGHTLY: Final = os.environ.get("TANGLEWATT_NIGHTLY") == "1"
MEASURED_S: Final = 30.0
PER_S: Final = 10 * len(HONEST)
"""Spam; an honest wallet pays once a second."""

HEAD_START: Final = 2 * PER_S
"""Spam that is out before the first payment meets it."""


def has_begun(counts: Counter[str]) -> bool:
    """Return whether so much spam is out, by mesh or by door, that a payment meets it."""
    return counts["sent"] + counts["posted"] >= HEAD_START


Flood = Callable[[World, int], AbstractContextManager[Counter[str]]]


@pytest.mark.skipif(
    not IS_NIGHTLY, reason="measures milestones of 2 s: TANGLEWATT_NIGHTLY=1, on a quiet machine"
)
def test_a_flood_delays_the_payments_of_others_by_one_milestone_at_most(tmp_path: Path) -> None:
    floods: dict[str, Flood] = {"peer over the mesh": mesh_flood, "issuer at the door": door_flood}

    with running_nodes(tmp_path / "net") as world:
        calm = honest_waits(world, MEASURED_S)
        flooded = {}
        for name, flood in floods.items():
            with flood(world, PER_S) as counts:
                wait_until(partial(has_begun, counts), f"{name} floods", DEADLINE_S)
                flooded[name] = honest_waits(world, MEASURED_S), counts

    assert len(calm.milestones) >= len(HONEST)
    for name, (waits, counts) in flooded.items():
        said = f"{name}: {waits.said}, calm {calm.said}, spam {dict(counts)}"
        assert not waits.refused, said
        assert counts["sent"] + counts["200"] >= 4 * MEASURED_S, said
        assert max(waits.milestones) <= max(calm.milestones) + 1, said
