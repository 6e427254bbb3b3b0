"""Which world a seed plays: its size, its weather, its troubles and its villains, all drawn."""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.simulation import adversaries, trouble
from tests.simulation.cosigned import Character, CoSignedWorld
from tests.simulation.equivocation import equivocation
from tests.simulation.network import CoreOf
from tests.simulation.stage import Stage
from tests.simulation.weather import Weather
from tests.simulation.world import World

Scenario = Callable[[Stage], None]

CLOCKS: Final[tuple[Scenario, ...]] = (
    trouble.skewed_clocks,
    trouble.slow_clock,
    trouble.fast_clock,
)
TROUBLES: Final[tuple[Scenario, ...]] = (
    trouble.partitions,
    trouble.one_way_links,
    trouble.slow_disks,
    trouble.crashes,
)
VILLAINS: Final[tuple[Scenario, ...]] = (
    adversaries.parasite_chains,
    adversaries.split_tips,
    adversaries.lazy_tips,
    adversaries.burst_of_spam,
    adversaries.replays,
    adversaries.reground_copies,
    adversaries.orphans,
)
SETTLING_MS: Final = 90_000
"""Time for all to have the same after the last trouble. What waits for a parent that nobody has is
given up after 20 s, a peer that lost one frame of a cone after 30 s."""


def mixture(seed: int, core_of: CoreOf | None = None) -> World:
    """Return the world of a seed, its scenarios arranged."""
    rng = Random(f"mixture/{seed}")
    is_large = rng.random() < 0.05
    scenarios = [each for each in TROUBLES if rng.random() < 0.35]
    if rng.random() < 0.4:
        scenarios.append(rng.choice(CLOCKS))
    if not is_large:
        scenarios += rng.sample(VILLAINS, rng.choice((0, 1, 1, 2)))
    world = _world(seed, rng, core_of, is_large=is_large)
    if not isinstance(world, CoSignedWorld) and rng.random() < 0.12:
        scenarios.append(equivocation)
    return meet(world, *scenarios)


def meet(world: World, *scenarios: Scenario) -> World:
    """Arrange for scenarios to happen in a world, and name it after them."""
    for scenario in scenarios:
        scenario(world)
    names = [scenario.__name__ for scenario in scenarios]
    world.name = f"{world.name} ({len(world.nodes)} nodes; {', '.join(names) or 'weather alone'})"
    return world


def play(world: World) -> World:
    """Play a world to its end."""
    world.run(world.issue_ms + SETTLING_MS)
    return world


def _world(seed: int, rng: Random, core_of: CoreOf | None, *, is_large: bool) -> World:
    issue_ms = rng.randrange(14_000, 20_000)
    weather = Weather(
        loss=rng.choice((0.0, 0.05, 0.15)),
        duplication=rng.choice((0.0, 0.05)),
        max_delay_ms=rng.choice((50, 400, 900)),
        partition_ms=(0, 0),
        crashes=rng.randint(0, 2),
        lies=rng.choice((0.0, 0.05)),
        hesitation=rng.choice((0.0, 0.1)),
    )
    if is_large:
        return World(seed, 20, 14_000, weather, core_of)
    nodes, interval_ms = rng.randint(5, 8), rng.choice((700, 1_000, 2_000))
    if rng.random() < 0.2:
        characters = {rng.randint(1, 3): rng.choice(list(Character))}
        return CoSignedWorld(
            seed,
            characters,
            nodes,
            issue_ms,
            weather=weather,
            core_of=core_of,
            interval_ms=interval_ms,
        )
    return World(seed, nodes, issue_ms, weather, core_of, interval_ms)
