"""The command `tanglewatt up`: `python -m api.processes.up_main`.

Heavy imports, so not part of `main`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from api.exit_codes import ExitCode
from api.failures import Failure, FailureCode
from api.processes.accounting import Tally
from api.processes.children import Surroundings
from api.processes.figures import summary
from api.processes.leftovers import stop_leftovers
from api.processes.opening import Request, locked, make_or_open
from api.processes.pid_files import write_pid_file
from api.processes.progress import JsonReporter, PlainReporter, Reporter, TerminalReporter
from api.processes.up import UpOptions, run_up
from api.processes.up_network import assemble, require_free_ports
from api.processes.up_report import Ending, report, shortcomings
from api.settings.layout import Layout, NetworkFile, process_names
from api.settings.private_files import create_folder
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    MAX_SECONDS,
    AsJson,
    BasePort,
    Coordinators,
    DataDir,
    Edges,
    Homes,
    NetworkName,
    People,
    Quorum,
    SeedNumber,
    TimeScale,
    ending,
    layout_of,
    run_single,
)
from api.terminal.talk import is_terminal, put, put_json, say, show_failure
from devices.outbox import read_outbox_state
from edge.ground.clock import system_monotonic_ms

DEFAULT_SETTLE_S: Final = 120.0
LEFTOVER_GRACE_S: Final = 10.0
MAX_NAMED_SHORTCOMINGS: Final = 8

T = TypeVar("T")

RunSeconds = Annotated[
    float | None,
    typer.Option(
        "--for",
        metavar="SECONDS",
        help="Stop when all has run for so long, and count.",
        min=0.0,
        max=MAX_SECONDS,
    ),
]
SettleSeconds = Annotated[
    float,
    typer.Option(
        "--settle",
        metavar="SECONDS",
        help="Most to wait for confirmation.",
        min=0.0,
        max=MAX_SECONDS,
    ),
]


def up(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    homes: Homes = None,
    edges: Edges = None,
    time_scale: TimeScale = None,
    name: NetworkName = None,
    seed: SeedNumber = None,
    base_port: BasePort = None,
    coordinators: Coordinators = None,
    quorum: Quorum = None,
    people: People = None,
    run_s: RunSeconds = None,
    settle_s: SettleSeconds = DEFAULT_SETTLE_S,
    as_json: AsJson = False,
) -> None:
    """Start a whole network on this machine; a second time, go on with it.

    Examples:
      tanglewatt up
      tanglewatt up --for 60 --json
      tanglewatt up --homes recordings/ --data-dir ./replay
    """
    request = Request(
        homes,
        edges,
        time_scale,
        name,
        seed,
        base_port,
        coordinators,
        quorum,
        people=people,
        is_demonstration=True,
    )
    reporter = _reporter(as_json=as_json)
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        with locked(layout):
            network, is_new = make_or_open(layout, request)
            reporter.step("network", f"{network.name} {_made(is_new)} in {layout.root}")
            code = _run(layout, network, UpOptions(run_s, settle_s), reporter, as_json=as_json)
    raise SystemExit(int(code))


def _run(
    layout: Layout, network: NetworkFile, options: UpOptions, reporter: Reporter, *, as_json: bool
) -> ExitCode:
    """Run the network of a locked folder; return how the command ends."""
    for folder in (layout.run, layout.logs):
        create_folder(folder)
    write_pid_file(layout.up_pid_file, os.getpid())
    try:
        files = (layout.pid_file(name) for name in process_names(network))
        for left in stop_leftovers(files, LEFTOVER_GRACE_S):
            reporter.step(left, "stopped: left over from a run that was killed")
        require_free_ports(layout, network, os.environ)
        assembled = assemble(layout, network, os.environ, _produced)
        around = Surroundings(system_monotonic_ms, reporter.process)
        # Children inherit it: a meter that is told to finish while it still starts is not killed.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        run = run_up(assembled, options, reporter, around)
        result = asyncio.run(until_signal(run))
    finally:
        layout.up_pid_file.unlink(missing_ok=True)
    if isinstance(result, signal.Signals):
        say(f"stopped cleanly ({result.name}); go on with: tanglewatt up")
        return ExitCode.INTERRUPTED if result is signal.SIGINT else ExitCode.OK
    return conclude(result, options, as_json=as_json)


def conclude(result: Ending, options: UpOptions, *, as_json: bool) -> ExitCode:
    """Print what was counted; return the exit code it deserves."""
    missing = shortcomings(result)
    code = ExitCode.OK
    if missing:
        is_settled = result.tally.is_complete and result.has_converged
        code = ExitCode.FAILED if is_settled else ExitCode.TIMED_OUT
        why = "; ".join(missing[:MAX_NAMED_SHORTCOMINGS])
        if len(missing) > MAX_NAMED_SHORTCOMINGS:
            why += f"; and {len(missing) - MAX_NAMED_SHORTCOMINGS} more"
        failure = Failure(
            FailureCode.NOT_EQUAL if is_settled else FailureCode.NOT_SETTLED,
            code,
            "the registers are not those of the recordings"
            if is_settled
            else f"not everything was confirmed everywhere within {options.settle_s:.0f} s",
            why,
            "read the logs; `tanglewatt up` again goes on delivering",
        )
        show_failure(failure, as_json=False)
    if as_json:
        put_json(report(result))
    else:
        put(_summary(result.tally, result))
        if result.figures is not None:
            put(summary(result.figures))
    return code


def _summary(tally: Tally, result: Ending) -> str:
    confirmed = min(tally.confirmed.values(), default=0)
    first = result.first_confirmed_s
    when = "" if first is None else f", the first after {first} s"
    agree = "all nodes agree" if result.has_converged else "the nodes do not agree"
    return (
        f"readings: {tally.sent} sent, {tally.journalled} journalled, {confirmed} confirmed on"
        f" every node{when}; {tally.lost} lost, {tally.twice} twice;"
        f" {result.milestones} milestones, {agree}"
    )


async def until_signal(work: Coroutine[Any, Any, T]) -> T | signal.Signals:
    """Run `work`, and cancel it on SIGINT, SIGTERM or SIGHUP.

    Returns:
        What it returns, or the signal that ended it.
    """
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None, "runs in a task"

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not received:
            raise
        task.uncancel()
        return received[0]


def _produced(outbox: Path) -> int:
    return read_outbox_state(outbox).produced


def _made(is_new: bool) -> str:  # noqa: FBT001 — a word for each
    return "made" if is_new else "found"


def _reporter(*, as_json: bool) -> Reporter:
    people = TerminalReporter() if is_terminal(sys.stderr) else PlainReporter()
    return JsonReporter(people) if as_json else people


if __name__ == "__main__":
    run_single(up, "tanglewatt up")
