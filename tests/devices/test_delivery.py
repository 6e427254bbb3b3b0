"""Real processes: a broker, a meter, and a small edge that journals and sends receipts."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiomqtt import Client, MqttError

from devices.outbox import OutboxState, read_outbox_state
from devices.shell import NO_DELAY
from devices.sources.rows import Registers
from devices.topics import all_readings_topic, receipt_topic
from tangle.errors import StorageError
from tests.devices.homes import (
    DEVICE,
    NETWORK,
    OTHER_EDGE,
    SLOT_MS,
    JournallingEdge,
    receipt_bytes,
    recording,
)

PATIENCE_S = 30.0
READINGS_PER_SECOND = 50
TIME_SCALE = SLOT_MS * READINGS_PER_SECOND // 1_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_until(condition: Callable[[], bool]) -> None:
    """Poll: what is waited for happens in other processes."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 — no event crosses the border of a process
            await asyncio.sleep(0.02)


class Stage:
    """The processes of one test; whatever still runs at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self.outbox = folder / "outbox.sqlite3"
        self.port = free_port()
        self.edge = JournallingEdge()
        self.rows = 100_000
        self.started_ms = time.time_ns() // 1_000_000  # noqa: TID251 — real processes, real clock
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, *arguments])
        self.processes.append(process)
        return process

    async def start_broker(self) -> "subprocess.Popen[bytes]":
        script = (
            "import asyncio; from edge.meters.broker import run_broker;"
            f" asyncio.run(run_broker(port={self.port}))"
        )
        process = self.start("-c", script)
        await wait_until(self.broker_answers)
        return process

    def broker_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start_meter(self, *, measure: bool = True) -> "subprocess.Popen[bytes]":
        settings = {
            "outbox": str(self.outbox),
            "port": self.port,
            "rows": self.rows,
            "started_ms": self.started_ms,
            "time_scale": TIME_SCALE,
            "measure": measure,
        }
        return self.start("-m", "tests.devices.meter_process", json.dumps(settings))

    async def journalled(self, more: int) -> None:
        """Wait until `more` readings than now are journalled."""
        target = len(self.edge.journal) + more
        await wait_until(lambda: len(self.edge.journal) >= target)

    def state(self) -> OutboxState:
        return read_outbox_state(self.outbox)

    def has_produced(self, count: int) -> bool:
        with suppress(StorageError):  # the meter has only just begun
            return self.state().produced >= count
        return False

    async def run_edge(self) -> None:
        """Serve receipts, over as many connections as the broker's life asks for."""
        while True:
            with suppress(MqttError):
                async with Client(
                    "127.0.0.1", self.port, timeout=2, socket_options=[NO_DELAY]
                ) as client:
                    await client.subscribe(all_readings_topic(NETWORK), qos=1)
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        receipt = self.edge.receive(message.payload)
                        topic = receipt_topic(NETWORK, DEVICE)
                        # what anyone could publish beside it
                        await client.publish(topic, receipt_bytes(10**6, OTHER_EDGE))
                        await client.publish(topic, receipt, qos=1, retain=True)
            await asyncio.sleep(0.05)

    def assert_all_delivered(self) -> None:
        """Compare three accounts: the edge's journal, the meter's outbox, the source."""
        readings, state = self.edge.readings(), self.state()
        source = recording(state.produced).rows
        assert [reading.sequence for reading in readings] == list(range(state.produced))
        assert [Registers(reading.import_wh, reading.export_wh) for reading in readings] == [
            row.registers for row in source
        ]
        assert state == OutboxState(
            produced=len(readings),
            receipted_through=len(readings) - 1,
            import_wh=readings[-1].import_wh,
            export_wh=readings[-1].export_wh,
            finished=True,
        )


@asynccontextmanager
async def stage_in(folder: Path) -> AsyncIterator[Stage]:
    stage = Stage(folder)
    edge = asyncio.create_task(stage.run_edge())
    try:
        yield stage
    finally:
        edge.cancel()
        for process in stage.processes:
            process.kill()
            process.wait()
        with suppress(asyncio.CancelledError):
            await edge


def play(folder: Path, scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with stage_in(folder) as stage:
            await scene(stage)

    asyncio.run(whole())


async def exit_code(process: "subprocess.Popen[bytes]", within_s: float = PATIENCE_S) -> int:
    return await asyncio.to_thread(process.wait, within_s)


def test_all_readings_arrive_though_broker_and_meter_are_killed(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        broker, meter = await stage.start_broker(), stage.start_meter()
        await stage.journalled(20)

        broker.kill()
        broker.wait()
        measured = stage.state().produced
        await wait_until(lambda: stage.state().produced > measured + 10)
        await stage.start_broker()
        await stage.journalled(20)
        for _ in range(3):
            meter.kill()
            meter.wait()
            meter = stage.start_meter()
            await stage.journalled(20)
        meter.send_signal(signal.SIGUSR1)

        assert await exit_code(meter) == 0
        stage.assert_all_delivered()

    play(tmp_path, scene)


def test_a_meter_ends_by_itself_with_its_recording(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.rows = 30
        await stage.start_broker()

        meter = stage.start_meter()

        assert await exit_code(meter) == 0
        assert len(stage.edge.journal) == 30
        stage.assert_all_delivered()

    play(tmp_path, scene)


def test_a_terminated_meter_stops_at_once_and_a_later_run_delivers_the_rest(
    tmp_path: Path,
) -> None:
    async def scene(stage: Stage) -> None:
        meter = stage.start_meter()  # there is no broker: everything is kept
        await wait_until(lambda: stage.has_produced(20))

        meter.terminate()

        assert await exit_code(meter, within_s=2) == 0
        kept = stage.state()
        assert kept.receipted_through == -1
        assert not kept.finished
        await stage.start_broker()
        meter = stage.start_meter(measure=False)
        assert await exit_code(meter) == 0
        assert stage.state().produced == kept.produced
        stage.assert_all_delivered()

    play(tmp_path, scene)


def test_a_connected_meter_stops_at_once_too(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.start_broker()
        meter = stage.start_meter()
        await stage.journalled(5)

        meter.terminate()

        assert await exit_code(meter, within_s=2) == 0
        assert not stage.state().finished

    play(tmp_path, scene)
