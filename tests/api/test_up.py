import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from api.client.answers import DeviceAnswer, DevicesAnswer, InfoAnswer, JournalledAnswer
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.processes.accounting import Journalled, Tally
from api.processes.children import Phase, ProcessEvent, ProcessSpec, Surroundings
from api.processes.figures import Figures
from api.processes.observer import MeterPlace, NodeDoor, Observer
from api.processes.progress import JsonReporter, PlainReporter, RunStatus, TerminalReporter
from api.processes.up import Network, UpOptions, run_up
from api.processes.up_main import conclude, until_signal
from api.processes.up_report import Ending, report, shortcomings
from tangle.errors import UnavailableError

METER = """
import pathlib, signal, sys, time
file = pathlib.Path(sys.argv[1])
made = int(file.read_text() or 0)
goal = made if "--deliver-only" in sys.argv else int(sys.argv[2])
stop = []
signal.signal(signal.SIGUSR1, lambda *_: stop.append(1))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while made < goal and not stop:
    made += 1
    file.write_text(str(made))
    time.sleep(0.02)
"""
"""A meter that only counts, up to a goal; the file is what it keeps."""


@dataclass
class FakeNode:
    """A node that has confirmed what the meter's file says, but for what it is told to lack."""

    file: Path
    index: int = 1
    root: str = "aa"
    lacks: int = 0
    twice: int = 0
    is_silent: bool = False
    ahead_from: int | None = None
    """Readings from which on it is never seen at an index of the others."""

    def info(self) -> InfoAnswer:
        if self.is_silent:
            raise CommandError(
                Failure(FailureCode.UNREACHABLE, ExitCode.NOT_RUNNING, "no answer", "", "")
            )
        self.index += 1
        if self.ahead_from is not None and read_file(self.file) >= self.ahead_from:
            self.index += 1_000
        return InfoAnswer(
            "ab", "net", "cd", "edge-1", "edge", self.index, "ef", self.root, 10, self.index
        )

    def devices(self) -> DevicesAnswer:
        made = read_file(self.file)
        held = max(0, made - self.lacks)
        own = JournalledAnswer(made, made - 1 if made else None, 100 * made, made)
        ranges = ((0, held - 1),) if held else ()
        return DevicesAnswer(
            (DeviceAnswer("tw1m", "tw1e", held, self.twice, ranges, journalled=own),)
        )


@dataclass
class Heard:
    """A reporter that remembers."""

    steps: list[str] = field(default_factory=list)
    statuses: list[RunStatus] = field(default_factory=list)
    processes: list[ProcessEvent] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    closed: bool = False

    def step(self, name: str, detail: str) -> None:
        self.steps.append(f"{name} {detail}")

    def process(self, event: ProcessEvent) -> None:
        self.processes.append(event)

    def status(self, status: RunStatus) -> None:
        self.statuses.append(status)

    def community(self, figures: Figures) -> None:
        self.figures.append(figures)

    def close(self) -> None:
        self.closed = True


def read_file(file: Path) -> int:
    try:
        return int(file.read_text() or 0)
    except FileNotFoundError as error:
        raise UnavailableError(str(error)) from error


@dataclass
class Stage:
    """One meter and two nodes."""

    folder: Path
    heard: Heard = field(default_factory=Heard)
    recorded: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = self.folder / "kept"
        self.kept.write_text("0")
        self.first, self.second = FakeNode(self.kept), FakeNode(self.kept)

    def network(self, goal: int) -> Network:
        meter = ProcessSpec(
            "home_01",
            (sys.executable, "-c", METER, str(self.kept), str(goal)),
            self.folder / "home_01.log",
            self.folder / "home_01.pid",
            may_finish=True,
            finish_signal=signal.SIGUSR1,
            finish_arguments=("--deliver-only",),
        )
        observer = Observer(
            (MeterPlace("home_01", "tw1m", self.kept),),
            (NodeDoor("edge-1", self.first), NodeDoor("edge-2", self.second)),
            read_file,
        )
        return Network(
            ((meter,),), frozenset({"home_01"}), observer, self.recorded, ("http://here",)
        )

    def run(self, goal: int, *, run_s: float | None = None, settle_s: float = 5.0) -> Ending:
        around = Surroundings(_now_ms, self.heard.process, dict(os.environ), 5.0, 10.0)
        options = UpOptions(run_s, settle_s)
        return asyncio.run(run_up(self.network(goal), options, self.heard, around))


def _now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1_000)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_run_ends_when_its_meters_have_and_everything_is_confirmed(stage: Stage) -> None:
    stage.recorded = {"home_01": (2_000, 20)}

    ending = stage.run(20)

    assert shortcomings(ending) == []
    assert ending.tally.sent == 20
    assert ending.has_converged
    assert ending.is_played_out
    assert ending.first_confirmed_s is not None
    assert stage.heard.closed
    assert stage.heard.steps[:2] == ["1 meters measuring", "look at http://here"]


def test_a_run_of_limited_time_stops_the_meters_and_counts(stage: Stage) -> None:
    ending = stage.run(10**6, run_s=0.5)

    assert shortcomings(ending) == []
    assert 0 < ending.tally.sent < 10**6
    assert not ending.is_played_out
    assert stage.heard.processes[-1].phase is Phase.FINISHED


def test_a_reading_that_is_not_confirmed_in_time_is_told(stage: Stage) -> None:
    stage.second.lacks = 1

    ending = stage.run(5, settle_s=1.0)

    assert ending.tally.lost == 1
    assert "home_01: edge-2 lacks 4" in shortcomings(ending)


def test_nodes_that_differ_are_told(stage: Stage) -> None:
    stage.second.root = "bb"

    ending = stage.run(5, settle_s=1.0)

    assert not ending.has_converged
    assert shortcomings(ending) == ["the nodes do not agree on the state: edge-1 aa, edge-2 bb"]


def test_that_nodes_agreed_before_all_was_confirmed_is_not_enough(stage: Stage) -> None:
    stage.second.ahead_from = 20

    assert not stage.run(20, settle_s=1.0).has_converged


def test_a_silent_node_has_confirmed_nothing(stage: Stage) -> None:
    stage.second.is_silent = True

    ending = stage.run(5, settle_s=1.0)

    assert ending.tally.confirmed == {"edge-1": 5, "edge-2": 0}
    assert ending.tally.lost == 5
    assert not ending.has_converged


def test_what_was_confirmed_before_the_run_is_not_its_first(stage: Stage) -> None:
    stage.kept.write_text("7")

    ending = stage.run(7)

    assert shortcomings(ending) == []
    assert ending.first_confirmed_s is None


def test_registers_that_are_not_the_recordings_are_told(stage: Stage) -> None:
    stage.recorded = {"home_01": (2_001, 20)}

    ending = stage.run(20)

    assert shortcomings(ending) == [
        "home_01: registers (2000, 20), its recording ends at (2001, 20)"
    ]


def test_a_run_that_is_cancelled_stops_its_processes(stage: Stage) -> None:
    async def scenario() -> None:
        around = Surroundings(_now_ms, stage.heard.process)
        running = run_up(stage.network(10**6), UpOptions(None, 1.0), stage.heard, around)
        task = asyncio.create_task(running)
        async with asyncio.timeout(10):
            while not stage.heard.statuses:  # noqa: ASYNC110 — waits for other processes
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())

    assert stage.heard.processes[-1].phase is Phase.STOPPED
    assert stage.heard.closed


def test_a_meter_that_has_not_started_has_made_nothing(tmp_path: Path) -> None:
    observer = Observer((MeterPlace("home_01", "tw1m", tmp_path / "none"),), (), read_file)

    sight = asyncio.run(observer.look())

    assert sight.meters[0].produced == 0


def test_the_signal_that_ends_a_run_is_told() -> None:
    async def wait() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    assert asyncio.run(until_signal(wait())) is signal.SIGTERM


def test_work_that_ends_by_itself_returns_what_it_has() -> None:
    async def work() -> int:
        return 5

    assert asyncio.run(until_signal(work())) == 5


TALLY = Tally(3, 3, {"edge-1": 3}, 0, 0, ())


ENDING = Ending(
    tally=TALLY,
    transactions=9,
    milestones=4,
    state_roots={"edge-1": "aa"},
    has_converged=True,
    first_confirmed_s=2.5,
    registers={"home_01": Journalled(3, 2, 10, 1)},
    recorded={},
    is_played_out=False,
)


def test_the_time_of_a_run_begins_when_the_last_meter_does(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    network, looks = stage.network(10**6), 0
    kept = tmp_path / "battery"
    kept.write_text("0")

    async def is_known() -> bool:
        nonlocal looks
        looks += 1
        return looks > 2

    (home,) = network.stages[0]
    battery = replace(
        home,
        name="battery",
        command=(sys.executable, "-c", METER, str(kept), str(10**6)),
        log_file=tmp_path / "battery.log",
        pid_file=tmp_path / "battery.pid",
        waits_for=is_known,
    )
    network = replace(network, stages=((home, battery),), meters=frozenset({"home_01", "battery"}))
    around = Surroundings(_now_ms, stage.heard.process, dict(os.environ), 5.0, 10.0)

    ended = asyncio.run(run_up(network, UpOptions(0.5, 20.0), stage.heard, around))

    assert looks == 3
    assert read_file(kept) > 0
    assert ended.has_converged


def test_the_report_has_the_keys_that_programs_rely_on() -> None:
    assert report(ENDING) == {
        "readings": {
            "sent": 3,
            "journalled": 3,
            "confirmed": {"edge-1": 3},
            "lost": 0,
            "twice": 0,
        },
        "transactions": 9,
        "milestones": 4,
        "state_roots": {"edge-1": "aa"},
        "converged": True,
        "seconds_to_first_confirmed": 2.5,
        "registers": {"home_01": {"import_wh": 10, "export_wh": 1}},
        "community": None,
    }


@pytest.mark.parametrize(("last", "equal"), [((10, 1), True), ((10, 2), False)])
def test_the_report_says_of_each_recording_whether_it_was_met(
    last: tuple[int, int], equal: bool
) -> None:
    shown: Mapping[str, Any] = report(replace(ENDING, recorded={"home_01": last}))

    assert shown["registers"]["home_01"]["equals_recording"] is equal


def test_a_meter_of_which_nothing_is_journalled_has_no_registers() -> None:
    result = replace(
        ENDING, registers={"home_01": None}, recorded={"home_01": (1, 1)}, is_played_out=True
    )

    assert report(result)["registers"] == {"home_01": None}
    assert shortcomings(result) == ["home_01: registers none, its recording ends at (1, 1)"]


def test_a_recording_that_was_not_played_to_its_end_need_not_be_met() -> None:
    assert shortcomings(replace(ENDING, recorded={"home_01": (99, 99)})) == []


@pytest.mark.parametrize(
    ("tally", "line"),
    [
        pytest.param(
            Tally(3, 2, {"a": 3}, 0, 0, ()), "journalled: 2 readings, 3 were sent", id="j"
        ),
        pytest.param(Tally(3, 3, {"a": 4}, 0, 0, ()), "a: 4 readings, 3 were sent", id="more"),
        pytest.param(Tally(3, 3, {"a": 3}, 0, 1, ()), "1 readings are confirmed twice", id="twice"),
        pytest.param(Tally(3, 3, {"a": 3}, 0, 0, ("x",)), "x", id="missing"),
    ],
)
def test_each_shortcoming_is_told(tally: Tally, line: str) -> None:
    assert shortcomings(replace(ENDING, tally=tally)) == [line]


STATUS = RunStatus(3_723_000, 41, 120, 118, 4, 3, 10, 9)


def test_the_status_line_says_what_stands() -> None:
    assert STATUS.line() == (
        "1:02:03  milestone 41 · readings sent 120, confirmed on all nodes 118"
        " · 3/4 nodes answer · 9/10 meters run"
    )


def test_lines_for_a_pipe_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = PlainReporter()

    for elapsed_ms in range(0, 10_001, 1_000):
        reporter.status(RunStatus(elapsed_ms, 1, 1, 1, 1, 1, 1, 1))
    reporter.close()

    assert len(capsys.readouterr().err.splitlines()) == 3


def test_processes_are_ticked_when_they_come_up_and_when_they_come_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter = PlainReporter()

    for event in (
        ProcessEvent("edge-1", Phase.READY, "http://x"),
        ProcessEvent("home_01", Phase.READY, ""),
        ProcessEvent("edge-1", Phase.RESTARTING, "killed by SIGKILL; again in 200 ms"),
        ProcessEvent("edge-1", Phase.READY, "http://x"),
        ProcessEvent("edge-1", Phase.STOPPED, "stopped"),
    ):
        reporter.process(event)

    assert capsys.readouterr().err.splitlines() == [
        "✔ edge-1       http://x",
        "✘ edge-1       killed by SIGKILL; again in 200 ms",
        "✔ edge-1       back",
    ]


def test_programs_get_every_event_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonReporter(Heard())

    reporter.step("network", "made")
    reporter.process(ProcessEvent("home_01", Phase.READY, ""))
    reporter.status(STATUS)
    reporter.close()

    assert capsys.readouterr().out.splitlines() == [
        '{"event": "step", "name": "network", "detail": "made", "schema": 1}',
        '{"event": "process", "name": "home_01", "phase": "ready", "detail": "", "schema": 1}',
    ]


def test_on_a_terminal_the_status_changes_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TerminalReporter()

    reporter.step("network", "made [here]")
    reporter.status(STATUS)
    reporter.status(STATUS)
    reporter.close()
    reporter.close()

    assert "✔ network      made [here]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("result", "code"),
    [
        pytest.param(ENDING, ExitCode.OK, id="all is well"),
        pytest.param(
            replace(ENDING, tally=replace(TALLY, missing=("x",))),
            ExitCode.TIMED_OUT,
            id="not settled",
        ),
        pytest.param(replace(ENDING, has_converged=False), ExitCode.TIMED_OUT, id="no agreement"),
        pytest.param(
            replace(ENDING, recorded={"home_01": (1, 1)}, is_played_out=True),
            ExitCode.FAILED,
            id="other registers",
        ),
    ],
)
def test_the_exit_code_says_how_a_run_ended_and_the_report_is_always_last(
    result: Ending, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conclude(result, UpOptions(60.0, 120.0), as_json=True) is code

    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].startswith('{"readings": {"sent": 3')
    assert ("TW-RUN-" in shown.err) == (code is not ExitCode.OK)


def test_without_json_the_end_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(ENDING, UpOptions(60.0, 120.0), as_json=False)

    assert capsys.readouterr().out == (
        "readings: 3 sent, 3 journalled, 3 confirmed on every node, the first after 2.5 s;"
        " 0 lost, 0 twice; 4 milestones, all nodes agree\n"
    )


def test_many_shortcomings_are_counted_after_the_first_few(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tally = replace(TALLY, missing=tuple(f"line {number}" for number in range(10)))

    conclude(replace(ENDING, tally=tally), UpOptions(60.0, 120.0), as_json=False)

    assert "line 7; and 2 more" in capsys.readouterr().err
