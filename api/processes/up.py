"""Runs a whole network on one machine: start, watch, let it settle, count, stop."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from api.processes.accounting import NodeSeen, common_root, confirmed_readings, registers, tally
from api.processes.children import ManagedProcess, Phase, ProcessSpec, Surroundings, supervised
from api.processes.community_door import CommunityDoor
from api.processes.figures import Figures
from api.processes.observer import Observer, Sight
from api.processes.progress import Reporter, RunStatus
from api.processes.up_report import Ending, Registers
from energy.units import HOUR_MS

LOOK_S: Final = 1.0
EAGER_LOOK_S: Final = 0.25
"""While something is waited for: the first confirmed reading, or that all is settled."""

COMMUNITY_LOOK_MS: Final = 5_000
"""Between two looks at how the community fares, on the wall clock: an hour may be two seconds."""

MAX_WAITING_MS: Final = 60_000
"""Most that a run which shall end waits for a battery to go into service."""

MAX_REMEMBERED_INDEXES: Final = 64
_OVER: Final = (Phase.FINISHED, Phase.FAILED, Phase.STOPPED)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How long to run, and how long to wait at the end."""

    run_s: float | None
    """Stop the meters when all have run for so long; `None` until they end by themselves, if ever.

    How long processes take to start, on a busy machine, is not part of it.
    """

    settle_s: float
    """Most that is waited for everything to be confirmed everywhere."""


@dataclass(frozen=True, slots=True)
class Network:
    """What to run, and where to look."""

    stages: tuple[tuple[ProcessSpec, ...], ...]
    """In order of starting."""

    meters: frozenset[str]
    """Names of the processes of meters: when they have ended, so has the run."""

    observer: Observer
    recorded: Mapping[str, Registers]
    """Last row of each recording, by meter."""

    urls: tuple[str, ...]
    community: CommunityDoor | None = None
    """Where to ask how the community fares; `None` if none acts by itself."""


@dataclass
class _Run:
    """One run, from start to end. Its clock starts with it."""

    options: UpOptions
    network: Network
    reporter: Reporter
    around: Surroundings
    started_ms: int
    first_confirmed_ms: int | None = None
    baseline: int | None = None
    """Readings confirmed before this run."""

    roots: dict[int, dict[str, str]] = field(default_factory=dict)
    """State root by node's name, by milestone index: as many as are needed to compare."""

    meters: tuple[ManagedProcess, ...] = ()
    figures: Figures | None = None
    looked_ms: int = 0
    """When the community was last looked at."""


async def run_up(
    network: Network, options: UpOptions, reporter: Reporter, around: Surroundings
) -> Ending:
    """Run the network until its meters have ended, then count.

    Cancelling stops everything in order, without counting.

    Args:
        network: What to run.
        options: How long.
        reporter: Whom to tell.
        around: Clock and environment of the processes.

    Returns:
        What meters and nodes say at the end; whether that is good is the caller's to judge.

    Raises:
        CommandError: A process did not start.
    """
    run = _Run(options, network, reporter, around, around.now_ms())
    try:
        before = await run.network.observer.look()
        # before this run nothing answers, so what the meters made is all there is to go by
        run.baseline = None if any(meter.produced for meter in before.meters) else 0
        async with supervised(network.stages, around) as supervisor:
            run.meters = tuple(
                one for one in supervisor.processes if one.spec.name in network.meters
            )
            reporter.step(f"{len(run.meters)} meters", "measuring")
            for url in network.urls:
                reporter.step("look at", url)
            await _watch(run)
            reporter.step("meters", "stopped measuring; waiting until all is confirmed")
            return await _settle(run)
    finally:
        reporter.close()


async def _watch(run: _Run) -> None:
    """Follow the network until the time is over or every meter has ended."""
    run_s, end_ms, latest_ms = run.options.run_s, None, run.around.now_ms() + MAX_WAITING_MS
    while not all(meter.phase in (*_OVER, Phase.WAITING) for meter in run.meters):
        left_s = LOOK_S if run.first_confirmed_ms is not None else EAGER_LOOK_S
        is_late = run.around.now_ms() >= latest_ms
        if run_s is not None and end_ms is None and (is_late or not _is_waiting(run)):
            end_ms = run.around.now_ms() + int(run_s * 1000)
        if end_ms is not None:
            left_s = min(left_s, (end_ms - run.around.now_ms()) / 1000)
            if left_s <= 0:
                return
        _note(run, await run.network.observer.look())
        await _look_at_community(run)
        await asyncio.sleep(left_s)


def _is_waiting(run: _Run) -> bool:
    return any(meter.phase is Phase.WAITING for meter in run.meters)


async def _look_at_community(run: _Run) -> None:
    """Tell how the community fares, once for each hour of ledger time that is seen."""
    door, now_ms = run.network.community, run.around.now_ms()
    if door is None or now_ms < run.looked_ms + COMMUNITY_LOOK_MS:
        return
    run.looked_ms = now_ms
    before, run.figures = run.figures, await door.look(run.figures)
    if run.figures is not None and _hour(run.figures) != _hour(before):
        run.reporter.community(run.figures)


def _hour(figures: Figures | None) -> int | None:
    return None if figures is None else figures.ledger_time_ms // HOUR_MS


async def _settle(run: _Run) -> Ending:
    """Let the meters deliver the rest, then wait until all nodes have and say the same."""
    ended = (Phase.FINISHED, Phase.WAITING)  # a battery that never began played nothing
    was_played_out = all(meter.phase in ended for meter in run.meters)
    sight = await run.network.observer.look()
    try:
        async with asyncio.timeout(run.options.settle_s):
            for meter in run.meters:
                meter.finish()
            for meter in run.meters:
                await meter.wait_ended()
            sight = await _until_complete(run)
            run.roots.clear()
            while _agreed(run) is None:
                sight = await _look_again(run)
    except TimeoutError:
        sight = await run.network.observer.look()
    if run.network.community is not None:
        run.figures = await run.network.community.look(run.figures)
    return _ending(run, sight, is_played_out=was_played_out)


async def _until_complete(run: _Run) -> Sight:
    while True:
        sight = await _look_again(run)
        if not sight.silent and tally(sight.meters, sight.nodes).is_complete:
            return sight


async def _look_again(run: _Run) -> Sight:
    await asyncio.sleep(EAGER_LOOK_S)
    sight = await run.network.observer.look()
    _note(run, sight)
    return sight


def _note(run: _Run, sight: Sight) -> None:
    """Remember what matters of one look, and tell people."""
    now_ms = run.around.now_ms()
    confirmed = [confirmed_readings(sight.meters, node) for node in sight.nodes]
    if confirmed and run.baseline is None:
        run.baseline = max(confirmed)
    is_waiting = run.baseline is not None and run.first_confirmed_ms is None
    if is_waiting and max(confirmed, default=0) > (run.baseline or 0):
        run.first_confirmed_ms = now_ms - run.started_ms
    for node in sight.nodes:
        run.roots.setdefault(node.index, {})[node.name] = node.state_root
    while len(run.roots) > MAX_REMEMBERED_INDEXES:
        del run.roots[min(run.roots)]
    run.reporter.status(
        RunStatus(
            elapsed_ms=now_ms - run.started_ms,
            index=min((node.index for node in sight.nodes), default=0),
            sent=sum(meter.produced for meter in sight.meters),
            confirmed=min(confirmed, default=0),
            nodes=len(run.network.observer.nodes),
            answering=len(sight.nodes),
            meters=len(run.meters),
            measuring=sum(meter.phase not in _OVER for meter in run.meters),
        )
    )


def _agreed(run: _Run) -> int | None:
    return common_root(run.roots, [door.name for door in run.network.observer.nodes])


def _ending(run: _Run, sight: Sight, *, is_played_out: bool) -> Ending:
    agreed = _agreed(run)
    roots: Mapping[str, str] = (
        run.roots[agreed]
        if agreed is not None
        else {node.name: node.state_root for node in sight.nodes}
    )
    # a node that is silent has confirmed nothing that it can show
    silent = [NodeSeen(name, 0, "", 0, 0, {}) for name in sight.silent]
    first_ms = run.first_confirmed_ms
    return Ending(
        tally=tally(sight.meters, [*sight.nodes, *silent]),
        transactions=_least([node.transactions for node in sight.nodes]),
        milestones=agreed if agreed is not None else _least([node.index for node in sight.nodes]),
        state_roots=roots,
        has_converged=agreed is not None,
        first_confirmed_s=None if first_ms is None else round(first_ms / 1000, 1),
        registers=registers(sight.meters, sight.nodes),
        recorded=run.network.recorded,
        is_played_out=is_played_out,
        figures=run.figures,
    )


def _least(values: Sequence[int]) -> int:
    return min(values, default=0)
