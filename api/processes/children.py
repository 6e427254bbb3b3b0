"""Child processes: started, watched, brought back when they die, stopped in order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.processes.back_off import BackOff
from api.processes.log_files import rotate, tail
from api.processes.pid_files import write_pid_file

MAX_EARLY_DEATHS: Final = 4
"""Deaths before a process was ever ready, after which its start has failed."""

HOPELESS: Final = frozenset(
    {ExitCode.USAGE, ExitCode.NOT_AUTHORISED, ExitCode.BAD_CONFIGURATION, ExitCode.STORAGE}
)
"""Exit codes that trying again does not mend."""

READY_POLL_S: Final = 0.05
NEEDS_POLL_S: Final = 0.5
LOG_CHECK_S: Final = 5.0


class Phase(StrEnum):
    """Where one process stands."""

    WAITING = "waiting"
    """What it needs is not there yet; the others do not wait for it."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FINISHED = "finished"
    """It ended by itself, as it may."""

    FAILED = "failed"
    """It never came up, and trying again would not help."""

    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to keep alive."""

    name: str
    command: tuple[str, ...]
    log_file: Path
    pid_file: Path
    address: str = ""
    """Where people find it, for the line that says it is up."""

    probe: Callable[[], Awaitable[bool]] | None = None
    """Says whether it is ready; without one it is, once it runs."""

    waits_for: Callable[[], Awaitable[bool]] | None = None
    """Says whether what it needs is there; without one it starts at once."""

    may_finish: bool = False
    """Whether exit code 0 means that its work is done."""

    finish_signal: signal.Signals | None = None
    finish_arguments: tuple[str, ...] = ()
    """How to ask it to finish its work: running, by signal; started anew, by arguments."""


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """What happened to a process, for people and logs."""

    name: str
    phase: Phase
    detail: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What processes need of the world around them."""

    now_ms: Callable[[], int]
    """A clock that never goes back."""

    tell: Callable[[ProcessEvent], None]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_grace_s: float = 15.0
    """From SIGTERM to SIGKILL."""

    ready_timeout_s: float = 60.0


class ManagedProcess:
    """One child, from its first start until it finished or was stopped."""

    def __init__(self, spec: ProcessSpec, around: Surroundings) -> None:
        self.spec = spec
        self.phase = Phase.STARTING
        self.deaths = 0
        self.exit_code: int | None = None
        self._around = around
        self._process: asyncio.subprocess.Process | None = None
        self._is_finishing = False
        self._has_begun = False
        self._refusal = ""
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the running child; `None` while there is none."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def run(self) -> None:
        """Keep the child alive; return when it finished, failed for good or was stopped."""
        self._has_begun = True
        back_off = BackOff()
        try:
            await self._wait_for_needs()
            while not self._stopping.is_set():
                started_ms = self._around.now_ms()
                self.exit_code = await self._run_once()
                if self._has_ended(self.exit_code):
                    return
                self.deaths += 1
                back_off = back_off.after_death(self._around.now_ms() - started_ms)
                self._enter(
                    Phase.RESTARTING,
                    f"{self._how()}; again in {back_off.delay_ms} ms",
                )
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), back_off.delay_ms / 1000)
            self._enter(Phase.STOPPED, "stopped")
        finally:
            self._kill()
            self._ended.set()

    async def _wait_for_needs(self) -> None:
        """Wait until what the child needs is there; not once it shall only finish, or stop."""
        if self.spec.waits_for is None:
            return
        self._enter(Phase.WAITING, "")
        while not (self._is_finishing or self._stopping.is_set() or await self.spec.waits_for()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), NEEDS_POLL_S)
        self.phase = Phase.STARTING

    async def wait_ready(self) -> None:
        """Return once the child is ready, or waits for what it needs.

        Raises:
            CommandError: It ended, died too often, or was not ready in time.
        """
        try:
            async with asyncio.timeout(self._around.ready_timeout_s):
                while not await self.check_ready():
                    if self._ended.is_set() or self.deaths >= MAX_EARLY_DEATHS:
                        raise self._start_error(self._how())
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError as error:
            limit = f"not ready within {self._around.ready_timeout_s:.0f} s"
            raise self._start_error(limit) from error

    async def wait_ended(self) -> None:
        """Return once the child is gone and will not be started again."""
        await self._ended.wait()

    def finish(self) -> None:
        """Ask the child to finish its work and end; holds across restarts, too."""
        self._is_finishing = True
        if self.spec.finish_signal is not None:
            self._send(self.spec.finish_signal)

    async def stop(self) -> None:
        """End the child: SIGTERM, a grace, SIGKILL."""
        self._stopping.set()
        if not self._has_begun:
            return  # a stage before its own did not start: there is nothing to wait for
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._around.stop_grace_s):
                await self._ended.wait()
        except TimeoutError:
            self._kill()
            await self._ended.wait()

    async def _run_once(self) -> int:
        """Start the child and return its exit code.

        If log or pid file cannot be written, because the disk is full, that is a death like
        another: it must not take the supervisor and all other children with it.
        """
        self._refusal = ""
        try:
            process = await self._start()
        except OSError as error:
            self._refusal = f"cannot be started: {error.strerror or error}"
            self._kill()
            if self._process is not None:
                await self._process.wait()
            return ExitCode.STORAGE
        code = await process.wait()
        with suppress(OSError):  # a stale pid file is no process
            self.spec.pid_file.unlink(missing_ok=True)
        return code

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the child and note it. Raises `OSError`, perhaps with the child running."""
        spec = self.spec
        rotate(spec.log_file)
        extra = spec.finish_arguments if self._is_finishing else ()
        with spec.log_file.open("ab") as log:
            # an own group: Ctrl-C is for the supervisor, which stops its children in order
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                *extra,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._around.environment,
                process_group=0,
            )
        self._process = process
        write_pid_file(spec.pid_file, process.pid)
        if self._stopping.is_set():  # asked while the child was being made
            self._send(signal.SIGTERM)
        return process

    def _has_ended(self, code: int) -> bool:
        """Note an end that is final; return whether it is."""
        was_ready = self.phase is Phase.READY
        if self._stopping.is_set():
            self._enter(Phase.STOPPED, self._how())
        elif code == ExitCode.OK and self.spec.may_finish:
            self._enter(Phase.FINISHED, "finished")
        elif code in HOPELESS and not was_ready and not self.deaths:
            self._enter(Phase.FAILED, self._how())
        else:
            return False
        return True

    async def check_ready(self) -> bool:
        """Return whether the child is ready now, and note it if it was not before."""
        if self.phase in (Phase.FINISHED, Phase.WAITING):
            return True
        if self.pid is None or (self.spec.probe is not None and not await self.spec.probe()):
            return False
        if self.phase is not Phase.READY:
            self._enter(Phase.READY, self.spec.address)
        return True

    def _enter(self, phase: Phase, detail: str) -> None:
        self.phase = phase
        self._around.tell(ProcessEvent(self.spec.name, phase, detail))

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _kill(self) -> None:
        self._send(signal.SIGKILL)

    def _how(self) -> str:
        return self._refusal or _how(self.exit_code)

    def _start_error(self, why: str) -> CommandError:
        last = tail(self.spec.log_file)
        return CommandError(
            Failure(
                FailureCode.DID_NOT_START,
                ExitCode.FAILED,
                f"{self.spec.name} did not start: {why}",
                last or "it wrote nothing to its log",
                f"read {self.spec.log_file}",
            )
        )


class Supervisor:
    """All processes of one network, in stages: the first is started first, stopped last."""

    def __init__(self, stages: Sequence[Sequence[ProcessSpec]], around: Surroundings) -> None:
        self._stages = [[ManagedProcess(spec, around) for spec in stage] for stage in stages]
        self._tell = around.tell

    @property
    def processes(self) -> tuple[ManagedProcess, ...]:
        """Every process, in the order of the stages."""
        return tuple(process for stage in self._stages for process in stage)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start stage by stage, each when the one before is ready. Raises `CommandError`."""
        for stage in self._stages:
            for process in stage:
                tasks.create_task(process.run(), name=process.spec.name)
            # together: who waits for a peer that has failed must not hide why
            await asyncio.gather(*(process.wait_ready() for process in stage))

    async def watch(self) -> None:
        """Notice when restarted processes are ready again, and bound the logs; never returns."""
        waited_s = 0.0
        while True:
            await asyncio.sleep(1)
            waited_s += 1
            for process in self.processes:
                if process.phase in (Phase.RESTARTING, Phase.STARTING):
                    await process.check_ready()
            if waited_s >= LOG_CHECK_S:
                waited_s = 0.0
                for process in self.processes:
                    with suppress(OSError):  # a full disk, of which the nodes tell: next time
                        rotate(process.spec.log_file)

    async def stop(self) -> None:
        """Stop stage by stage, the last first; within a stage all at once."""
        for stage in reversed(self._stages):
            async with asyncio.TaskGroup() as tasks:
                for process in stage:
                    tasks.create_task(process.stop())


@asynccontextmanager
async def supervised(
    stages: Sequence[Sequence[ProcessSpec]], around: Surroundings
) -> AsyncIterator[Supervisor]:
    """Run all processes for the length of a `with`; whatever ends it, they are stopped in order.

    Raises:
        CommandError: One did not start.
    """
    supervisor = Supervisor(stages, around)
    failure: CommandError | None = None
    async with asyncio.TaskGroup() as tasks:
        watch: asyncio.Task[None] | None = None
        try:
            await supervisor.start(tasks)
            watch = tasks.create_task(supervisor.watch())
            yield supervisor
        except CommandError as error:
            failure = error  # raised below: a task group would wrap it
        finally:
            if watch is not None:
                watch.cancel()
            await supervisor.stop()
    if failure is not None:
        raise failure


def _how(exit_code: int | None) -> str:
    """Return in words how a process ended; negative codes are signals."""
    if exit_code is None:
        return "never ran"
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
