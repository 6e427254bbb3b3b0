"""A network as `init` makes it, from fixed chance, for tests to look at."""

from pathlib import Path
from random import Random

from api.network.init import (
    Tools,
)
from api.network.plan import NetworkPlan, Wishes, make_plan, ports_needed

NOW_MS = 1_795_173_327_588
RECORDING = b"""interval_end,load_wh,import_register_wh,export_register_wh
2016-08-01T01:00:00Z,851,851,0
2016-08-01T02:00:00Z,835,1686,4
"""
START_MS = 1_470_009_600_000
"""2016-08-01T00:00:00Z: an hour before the first interval ends."""


FOUR_HOMES = Wishes(homes=4)


def write_stand_in(file: Path) -> None:
    file.write_bytes(b"profile")


def tools(seed: int = 1) -> Tools:
    rng = Random(seed)
    return Tools(rng.randbytes, write_stand_in)


def plan(wishes: Wishes = FOUR_HOMES) -> NetworkPlan:
    return make_plan(wishes, NOW_MS, list(range(15_000, 15_000 + ports_needed(wishes))))
