import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api.failures import CommandError, FailureCode
from api.processes.children import (
    ManagedProcess,
    Phase,
    ProcessEvent,
    ProcessSpec,
    Supervisor,
    Surroundings,
    supervised,
)

BRIEF = "import time; time.sleep(0.3); exit({code})"
"""Lives just long enough to be seen."""

SLEEP = "import time; time.sleep(60)"
"""Runs until it is stopped."""

WRITES = (
    "import pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))\n"
    "pathlib.Path(sys.argv[1]).open('a').write(' '.join(sys.argv[2:]) + '.')\n"
    "'--finish' in sys.argv and sys.exit(0)\n"
    "time.sleep(60)\n"
)
"""Notes each of its starts, with its arguments, in a file."""


@dataclass
class World:
    """Where fake processes live."""

    folder: Path
    events: list[ProcessEvent] = field(default_factory=list)
    now_ms: int = 0

    def around(self, *, grace_s: float = 5.0, ready_s: float = 10.0) -> Surroundings:
        return Surroundings(
            lambda: self.now_ms, self.events.append, dict(os.environ), grace_s, ready_s
        )

    def spec(
        self,
        code: str,
        *arguments: str,
        name: str = "child",
        probe: Callable[[], Awaitable[bool]] | None = None,
        waits_for: Callable[[], Awaitable[bool]] | None = None,
        may_finish: bool = False,
    ) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            command=(sys.executable, "-c", code, *arguments),
            log_file=self.folder / f"{name}.log",
            pid_file=self.folder / f"{name}.pid",
            address=f"at {name}",
            probe=probe,
            waits_for=waits_for,
            may_finish=may_finish,
            finish_signal=signal.SIGUSR1,
            finish_arguments=("--finish",),
        )

    def starts(self) -> str:
        file = self.folder / "starts"
        return file.read_text() if file.exists() else ""

    def wrote(self, times: int) -> Callable[[], Awaitable[bool]]:
        async def probe() -> bool:
            return self.starts().count(".") >= times

        return probe

    def phases(self, name: str = "child") -> list[Phase]:
        return [event.phase for event in self.events if event.name == name]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def pid_of(process: ManagedProcess) -> int:
    assert process.pid is not None
    return process.pid


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — what changes is another process
            await asyncio.sleep(0.01)


def test_a_child_is_started_noted_and_stopped(world: World) -> None:
    async def scenario() -> None:
        async with supervised([[world.spec(SLEEP)]], world.around()) as supervisor:
            (child,) = supervisor.processes
            assert child.phase is Phase.READY
            assert (world.folder / "child.pid").exists()

    asyncio.run(scenario())

    assert world.phases() == [Phase.READY, Phase.STOPPED]
    assert not (world.folder / "child.pid").exists()


def test_a_killed_child_is_brought_back(world: World) -> None:
    async def scenario() -> None:
        spec = world.spec(WRITES, str(world.folder / "starts"), probe=world.wrote(1))
        async with supervised([[spec]], world.around()) as supervisor:
            (child,) = supervisor.processes
            os.kill(pid_of(child), signal.SIGKILL)
            await until(lambda: world.starts().count(".") == 2)
            await until(lambda: child.phase is Phase.READY)

    asyncio.run(scenario())

    assert world.phases() == [Phase.READY, Phase.RESTARTING, Phase.READY, Phase.STOPPED]
    assert world.events[1].detail == "killed by SIGKILL; again in 200 ms"


def test_a_child_that_fails_is_brought_back_even_if_it_may_finish(world: World) -> None:
    async def scenario() -> None:
        async with supervised(
            [[world.spec(BRIEF.format(code=1), may_finish=True)]], world.around()
        ) as all_:
            (child,) = all_.processes
            await until(lambda: child.deaths == 2)

    asyncio.run(scenario())

    details = [event.detail for event in world.events if event.phase is Phase.RESTARTING]
    assert details == [
        "ended with exit code 1; again in 200 ms",
        "ended with exit code 1; again in 400 ms",
    ]


def test_a_child_that_has_done_its_work_stays_away(world: World) -> None:
    async def scenario() -> None:
        spec = world.spec("pass", may_finish=True)
        async with supervised([[spec]], world.around()) as supervisor:
            (child,) = supervisor.processes
            await child.wait_ended()
            assert child.phase is Phase.FINISHED
            assert child.pid is None

    asyncio.run(scenario())

    assert world.phases()[-1] is Phase.FINISHED


def test_a_child_that_must_not_end_is_brought_back_after_exit_code_zero(world: World) -> None:
    async def scenario() -> None:
        spec = world.spec(BRIEF.format(code=0))
        async with supervised([[spec]], world.around()) as supervisor:
            (child,) = supervisor.processes
            await until(lambda: child.deaths >= 1)

    asyncio.run(scenario())

    assert Phase.FINISHED not in world.phases()


def test_asked_to_finish_a_child_ends_by_its_signal(world: World) -> None:
    async def scenario() -> None:
        starts = str(world.folder / "starts")
        spec = world.spec(WRITES, starts, probe=world.wrote(1), may_finish=True)
        async with supervised([[spec]], world.around()) as supervisor:
            (child,) = supervisor.processes
            child.finish()
            await child.wait_ended()
            assert child.phase is Phase.FINISHED

    asyncio.run(scenario())


def test_a_child_killed_while_it_finishes_is_started_to_finish_only(world: World) -> None:
    ignoring = WRITES.replace("SIGUSR1, lambda *_: sys.exit(0)", "SIGUSR1, signal.SIG_IGN")

    async def scenario() -> None:
        starts = str(world.folder / "starts")
        spec = world.spec(ignoring, starts, probe=world.wrote(1), may_finish=True)
        async with supervised([[spec]], world.around()) as supervisor:
            (child,) = supervisor.processes
            child.finish()
            os.kill(pid_of(child), signal.SIGKILL)
            await child.wait_ended()
            assert child.phase is Phase.FINISHED

    asyncio.run(scenario())

    assert world.starts() == ".--finish."


def test_a_stage_starts_when_the_one_before_is_ready_and_stops_before_it(world: World) -> None:
    async def scenario() -> None:
        first = world.spec(WRITES, str(world.folder / "starts"), name="first", probe=world.wrote(1))
        second = world.spec(SLEEP, name="second")
        async with supervised([[first], [second]], world.around()):
            pass

    asyncio.run(scenario())

    told = [(event.name, event.phase) for event in world.events]
    assert told == [
        ("first", Phase.READY),
        ("second", Phase.READY),
        ("second", Phase.STOPPED),
        ("first", Phase.STOPPED),
    ]


def test_a_child_that_does_not_heed_the_signal_is_killed(world: World) -> None:
    stubborn = WRITES.replace("SIGTERM, lambda *_: sys.exit(0)", "SIGTERM, signal.SIG_IGN")

    async def scenario() -> None:
        spec = world.spec(stubborn, str(world.folder / "starts"), probe=world.wrote(1))
        async with supervised([[spec]], world.around(grace_s=0.1)):
            pass

    asyncio.run(scenario())

    assert world.events[-1] == ProcessEvent("child", Phase.STOPPED, "killed by SIGKILL")


def test_stopping_does_not_wait_for_a_restart_that_is_due(world: World) -> None:
    async def scenario() -> None:
        spec = world.spec(BRIEF.format(code=0))
        async with supervised([[spec]], world.around()) as supervisor:
            (child,) = supervisor.processes
            await until(lambda: child.deaths >= 3)

    asyncio.run(scenario())

    assert world.phases()[-1] is Phase.STOPPED


def test_a_child_that_never_comes_up_fails_the_start_with_its_last_words(world: World) -> None:
    async def never() -> bool:
        return False

    code = "import sys; sys.exit('port 80 is taken')"

    async def scenario() -> None:
        async with supervised([[world.spec(code, probe=never)]], world.around()):
            pytest.fail("must not start")

    with pytest.raises(CommandError) as caught:
        asyncio.run(scenario())

    failure = caught.value.failure
    assert failure.code is FailureCode.DID_NOT_START
    assert failure.what == "child did not start: ended with exit code 1"
    assert "port 80 is taken" in failure.why


def test_a_stage_that_fails_ends_the_start_though_later_ones_never_began(world: World) -> None:
    async def never() -> bool:
        return False

    stages = [[world.spec("exit(9)", probe=never)], [world.spec(SLEEP, name="later")]]

    async def scenario() -> None:
        async with asyncio.timeout(10), supervised(stages, world.around()):
            pytest.fail("must not start")

    with pytest.raises(CommandError, match="child did not start: ended with exit code 9"):
        asyncio.run(scenario())


def test_a_child_that_fails_is_named_though_one_before_it_still_waits(world: World) -> None:
    async def never() -> bool:
        return False

    stage = [world.spec(SLEEP, name="waits", probe=never), world.spec("exit(9)", probe=never)]

    async def scenario() -> None:
        async with asyncio.timeout(10), supervised([stage], world.around(ready_s=60)):
            pytest.fail("must not start")

    with pytest.raises(CommandError, match="child did not start: ended with exit code 9"):
        asyncio.run(scenario())


def test_a_child_that_cannot_be_noted_is_tried_again_and_ends_no_other(world: World) -> None:
    async def scenario() -> None:
        stage = [world.spec(SLEEP, name="other"), world.spec(SLEEP)]
        async with supervised([stage], world.around()) as supervisor:
            other, child = supervisor.processes
            folder = world.folder / ".child.pid.new"
            folder.mkdir()  # what is to be written there cannot be
            os.kill(pid_of(child), signal.SIGKILL)
            await until(lambda: child.deaths >= 2)
            assert other.pid is not None
            folder.rmdir()
            await until(lambda: child.pid is not None)

    asyncio.run(scenario())

    details = [event.detail for event in world.events if event.phase is Phase.RESTARTING]
    assert any(detail.startswith("cannot be started: Is a directory") for detail in details)


def test_a_mistake_that_trying_again_does_not_mend_fails_at_once(world: World) -> None:
    async def never() -> bool:
        return False

    async def scenario() -> None:
        async with supervised([[world.spec("exit(9)", probe=never)]], world.around()):
            pytest.fail("must not start")

    with pytest.raises(CommandError, match="wrote nothing"):
        asyncio.run(scenario())

    assert world.phases() == [Phase.FAILED]


def test_a_child_that_is_not_ready_in_time_fails_the_start(world: World) -> None:
    async def never() -> bool:
        return False

    async def scenario() -> None:
        async with supervised([[world.spec(SLEEP, probe=never)]], world.around(ready_s=0.2)):
            pytest.fail("must not start")

    with pytest.raises(CommandError) as caught:
        asyncio.run(scenario())

    assert "not ready within" in caught.value.failure.what


def test_a_command_that_fails_stops_the_children_and_shows_as_itself(world: World) -> None:
    class MishapError(Exception):
        pass

    async def scenario() -> None:
        async with supervised([[world.spec(SLEEP)]], world.around()):
            raise MishapError

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(scenario())

    assert caught.group_contains(MishapError)
    assert world.phases()[-1] is Phase.STOPPED


def test_a_supervisor_that_is_cancelled_stops_its_children(world: World) -> None:
    async def scenario() -> None:
        async def run() -> None:
            async with supervised([[world.spec(SLEEP)]], world.around()):
                await asyncio.sleep(60)

        task = asyncio.create_task(run())
        await until(lambda: world.phases() == [Phase.READY])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())

    assert world.phases()[-1] is Phase.STOPPED


def test_a_child_that_is_asked_to_stop_before_it_runs_never_does(world: World) -> None:
    async def scenario() -> None:
        child = ManagedProcess(world.spec(SLEEP), world.around())
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(child.stop())
            await asyncio.sleep(0)
            tasks.create_task(child.run())
            await stopping

    asyncio.run(scenario())

    assert world.phases() == [Phase.STOPPED]


def test_a_child_that_is_asked_to_stop_while_it_is_made_is_told_so_at_once(world: World) -> None:
    async def scenario() -> None:
        child = ManagedProcess(world.spec(SLEEP), world.around())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child.run())
            await asyncio.sleep(0)
            assert child.pid is None
            await child.stop()

    asyncio.run(scenario())

    assert world.events == [ProcessEvent("child", Phase.STOPPED, "killed by SIGTERM")]


def test_a_supervisor_knows_its_processes_in_order_of_stages(world: World) -> None:
    stages = [
        [world.spec(SLEEP, name="a")],
        [world.spec(SLEEP, name="b"), world.spec(SLEEP, name="c")],
    ]

    supervisor = Supervisor(stages, world.around())

    assert [process.spec.name for process in supervisor.processes] == ["a", "b", "c"]


def test_a_process_starts_once_what_it_needs_is_there_and_nobody_waits_for_it(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    is_there = False

    async def needs() -> bool:
        return is_there

    async def run() -> tuple[Phase, str]:
        nonlocal is_there
        starts = str(tmp_path / "starts")
        waiting = world.spec(WRITES, starts, "later", name="later", waits_for=needs)
        async with supervised(((waiting,),), world.around()) as supervisor:
            before = supervisor.processes[0].phase, world.starts()
            is_there = True
            later = world.wrote(1)
            async with asyncio.timeout(20):
                while not await later():  # noqa: ASYNC110 — written by another process
                    await asyncio.sleep(0.05)
            return before

    assert asyncio.run(run()) == (Phase.WAITING, "")


def test_a_process_that_waits_delivers_what_it_kept_when_told_to_finish(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def never() -> bool:
        return False

    async def run() -> Phase:
        starts = str(tmp_path / "starts")
        spec = world.spec(WRITES, starts, name="later", waits_for=never, may_finish=True)
        async with supervised(((spec,),), world.around()) as supervisor:
            (process,) = supervisor.processes
            process.finish()
            async with asyncio.timeout(20):
                await process.wait_ended()
            return process.phase

    assert asyncio.run(run()) is Phase.FINISHED
    assert world.starts() == "--finish."


def test_a_process_that_waits_is_stopped_without_ever_having_started(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def never() -> bool:
        return False

    async def run() -> Phase:
        spec = world.spec(WRITES, str(tmp_path / "starts"), name="later", waits_for=never)
        async with supervised(((spec,),), world.around()) as supervisor:
            (process,) = supervisor.processes
        return process.phase

    assert asyncio.run(run()) is Phase.STOPPED
    assert world.starts() == ""
