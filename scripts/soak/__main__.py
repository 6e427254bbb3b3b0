"""A day of a community on a small host: `python -m scripts.soak [--homes 100] [--hours 24] …`.

Broker, coordinator, edge node and all meters run on a host of 512 MiB and one core (see
`scripts.soak.confinement`), on a fast clock, with pruning and snapshots on. Measured are memory,
disk and open files; in the end every reading must be confirmed once. Writes `report.md`,
`samples.json` and two plots into `--out`. Exit code 1 if anything is not as it must be.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from typing_extensions import override

from api.processes.children import Phase, ProcessEvent, ProcessSpec, Surroundings
from api.processes.opening import Request, make_or_open
from api.processes.pid_files import ProcessMark, read_pid_file
from api.processes.progress import PlainReporter, RunStatus
from api.processes.up import Network, UpOptions, run_up
from api.processes.up_main import until_signal
from api.processes.up_network import DELIVER_ONLY, assemble
from api.processes.up_report import Ending, shortcomings
from api.settings.genesis_file import load_genesis
from api.settings.layout import COORDINATOR, Layout, NetworkFile
from api.terminal.talk import put, say
from devices.outbox import read_outbox_state
from edge.ground.clock import Clock, system_monotonic_ms
from scripts.soak.confinement import Host, host
from scripts.soak.plot import Line, plot
from scripts.soak.samples import ProcessSample, Sample, disk_usage, read_process
from scripts.soak.verdict import MIB, Bounds, Growth, growths, table

METERS: Final = "meters"
HOUR_MS: Final = 3_600_000
SETTLE_S: Final = 300.0
SAMPLES: Final = 600
"""About so many are taken, whatever the run takes."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to run."""

    homes: int
    hours: float
    time_scale: int
    memory_mib: int
    settings: tuple[str, ...]
    """`SECTION.KEY=VALUE` for the nodes."""

    bounds: Bounds
    out: Path


def main() -> None:
    """Run, measure, write the report; exit code 1 if it is not passed."""
    wishes = _wishes()
    wishes.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tanglewatt-soak-"))
    try:
        with host(wishes.memory_mib * MIB) as small:
            say(f"memory: {wishes.memory_mib} MiB by {small.kind}; core {small.core}")
            faults = asyncio.run(until_signal(_run(wishes, Layout(folder / "network"), small)))
    finally:
        shutil.rmtree(folder)
    if isinstance(faults, signal.Signals):
        faults = [f"stopped by {faults.name}"]
    for fault in faults:
        say(f"✘ {fault}")
    sys.exit(1 if faults else 0)


def _wishes() -> Wishes:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.soak", description="Runs a community for long on a small host."
    )
    parser.add_argument("--homes", type=int, default=100)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated")
    parser.add_argument("--time-scale", type=int, default=72)
    parser.add_argument("--memory-mib", type=int, default=512)
    parser.add_argument("--growth", type=float, default=5.0, help="most that memory may grow, %%")
    parser.add_argument("--disk-growth", type=float, default=5.0, help="the same of the disk")
    parser.add_argument("--disk-from", type=float, default=12.0, help="simulated hours")
    parser.add_argument("--pruning-depth", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], help="of the nodes, beside that")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    given = parser.parse_args()
    history = (f"history.pruning_depth={given.pruning_depth}", "history.snapshots=true")
    bounds = Bounds(given.growth, given.disk_growth, given.disk_from)
    return Wishes(
        given.homes,
        given.hours,
        given.time_scale,
        given.memory_mib,
        (*history, *given.set),
        bounds,
        given.out,
    )


async def _run(wishes: Wishes, layout: Layout, small: Host) -> list[str]:
    request = Request(homes=str(wishes.homes), edges=1, time_scale=wishes.time_scale)
    network, _ = make_or_open(layout, request)
    layout.run.mkdir(exist_ok=True)
    watcher = Watcher(layout, network, small, wishes)
    # a meter that is told to finish while it still starts must not be killed by that
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    assembled = assemble(layout, network, {}, lambda outbox: read_outbox_state(outbox).produced)
    confined = _confined(assembled, layout, small, wishes.settings)
    around = Surroundings(system_monotonic_ms, watcher.process, ready_timeout_s=180.0)
    options = UpOptions(None, SETTLE_S)
    ending = await run_up(confined, options, watcher, around)
    found = growths(watcher.samples, wishes.bounds)
    faults = [
        *shortcomings(ending),
        *(_said(one) for one in found if not one.holds),
        *([f"{kills} processes killed for want of memory"] if (kills := small.kills()) else []),
        *watcher.deaths,
    ]
    _write(wishes, watcher, ending, found, small)
    return faults


def _confined(network: Network, layout: Layout, small: Host, settings: Sequence[str]) -> Network:
    """Return what to run: the same, on the small host, with all meters in one process."""
    broker, nodes, _ = network.stages
    flags = tuple(word for one in settings for word in ("--set", one))
    own = tuple(replace(one, command=small.command((*one.command, *flags))) for one in nodes)
    meters = (sys.executable, "-P", "-m", "scripts.soak.meters", str(layout.root))
    driver = ProcessSpec(
        name=METERS,
        command=small.command(meters),
        log_file=layout.log_file(METERS),
        pid_file=layout.pid_file(METERS),
        may_finish=True,
        finish_signal=signal.SIGUSR1,
        finish_arguments=(DELIVER_ONLY,),
    )
    confined = tuple(replace(one, command=small.command(one.command)) for one in broker)
    return replace(network, stages=(confined, own, (driver,)), meters=frozenset({driver.name}))


class Watcher(PlainReporter):
    """Takes samples while `run_up` tells how the network stands."""

    def __init__(self, layout: Layout, network: NetworkFile, small: Host, wishes: Wishes) -> None:
        super().__init__()
        self.samples: list[Sample] = []
        self.deaths: list[str] = []
        self._layout = layout
        self._small = small
        self._nodes = (COORDINATOR, *network.edges)
        self._names = ("broker", *self._nodes, METERS)
        self._clock = Clock(load_genesis(layout.genesis_file))
        self._wanted_h = wishes.hours
        self._began_ms: int | None = None
        self._is_over = False
        self._due_h = 0.0

    @property
    def hours(self) -> float:
        """Simulated since the meters began; 0 before."""
        if self._began_ms is None:
            return 0.0
        return (self._clock.instant().ledger_ms - self._began_ms) / HOUR_MS

    @override
    def status(self, status: RunStatus) -> None:
        super().status(status)
        if self._began_ms is None and status.sent:
            self._began_ms = self._clock.instant().ledger_ms
        hours, meters = self.hours, self._record(METERS)
        if hours >= self._wanted_h and not self._is_over and meters is not None:
            self._is_over = True
            os.kill(meters.pid, signal.SIGUSR1)  # deliver the rest, then end
        if hours < self._due_h or self._is_over:
            return
        self._due_h = hours + self._wanted_h / SAMPLES
        found = {name: self._read(name) for name in self._names}
        if all(found.values()):
            self.samples.append(
                Sample(
                    hours,
                    {name: one for name, one in found.items() if one is not None},
                    disk_usage(self._layout.root, self._nodes),
                    self._small.used_bytes(),
                    status.index,
                    status.sent,
                    status.confirmed,
                )
            )

    @override
    def process(self, event: ProcessEvent) -> None:
        super().process(event)
        if event.phase in (Phase.RESTARTING, Phase.FAILED):
            self.deaths.append(f"{event.name}: {event.detail}")

    def _read(self, name: str) -> ProcessSample | None:
        record = self._record(name)
        return None if record is None else read_process(record.pid)

    def _record(self, name: str) -> ProcessMark | None:
        return read_pid_file(self._layout.pid_file(name))


def _said(growth: Growth) -> str:
    if growth.percent is None:
        return f"{growth.name}: the run was too short to tell whether it grows"
    limit = growth.limit_percent
    return f"{growth.name} grew by {growth.percent:.1f} %: less than {limit:g} % is allowed"


def _write(
    wishes: Wishes, watcher: Watcher, ending: Ending, found: Sequence[Growth], small: Host
) -> None:
    """Write the report, the samples and the plots."""
    tally, samples = ending.tally, watcher.samples
    confirmed = min(tally.confirmed.values(), default=0)
    peak, kills = small.peak_bytes(), small.kills()
    lines = [
        f"{wishes.homes} homes, {watcher.hours:.1f} simulated hours at {wishes.time_scale} times"
        f" the clock; {small.limit_bytes // MIB} MiB by {small.kind}, one core.",
        f"Readings: {tally.sent} sent, {tally.journalled} journalled, {confirmed} confirmed on"
        f" every node, {tally.lost} lost, {tally.twice} twice. {ending.transactions} transactions,"
        f" {ending.milestones} milestones. "
        + ("All nodes agree." if ending.has_converged else "The nodes do not agree."),
    ]
    if peak is not None:
        lines.append(f"At most {peak / MIB:.0f} MiB were charged, page cache included;")
        lines.append(f"{kills} processes were killed for want of memory.")
    (wishes.out / "report.md").write_text("\n".join([*lines, "", table(found), ""]), "utf-8")
    dump = json.dumps([asdict(one) for one in samples])
    (wishes.out / "samples.json").write_text(dump, "ascii")
    for name, (title, lines_of) in _plots(samples).items():
        (wishes.out / f"{name}.svg").write_text(plot(title, "MiB", lines_of), "utf-8")
    put((wishes.out / "report.md").read_text("utf-8"))


def _plots(samples: Sequence[Sample]) -> dict[str, tuple[str, dict[str, Line]]]:
    """Return title and lines of each plot, by name."""
    names = list(dict.fromkeys(name for one in samples for name in one.processes))
    kinds = list(samples[-1].disk) if samples else []
    memory: dict[str, Line] = {
        f"{name} RSS": [
            (one.hours, one.processes[name].rss_bytes / MIB)
            for one in samples
            if name in one.processes
        ]
        for name in names
    }
    memory["all together, PSS"] = [
        (one.hours, sum(each.pss_bytes for each in one.processes.values()) / MIB) for one in samples
    ]
    disk: dict[str, Line] = {
        kind: [(one.hours, one.disk[kind] / MIB) for one in samples] for kind in kinds
    }
    return {
        "memory": ("Memory over simulated hours", memory),
        "disk": ("Disk over simulated hours", disk),
    }


if __name__ == "__main__":
    main()
