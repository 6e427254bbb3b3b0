"""A real network whose processes are killed, each where and when a test says."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from api.client.issuing import issue
from api.client.node_client import NodeClient
from api.client.polling import poll
from api.commands.access_files import wallet_issuer
from api.failures import CommandError
from api.network.init import Tools, create_network, write_profile
from api.network.plan import Wishes, make_plan, ports_needed
from api.network.ports import free_ports
from api.processes.children import ProcessSpec
from api.processes.up import Network
from api.processes.up_network import assemble
from api.settings.layout import Layout, load_network
from api.settings.wallet_file import read_wallet_public_key
from devices.outbox import read_outbox_state
from edge.ground.faults import VARIABLE
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tangle.errors import TanglewattError
from tests.network.waiting import wait_until

NODES: Final = ("coordinator", "edge-1", "edge-2")
METERS: Final = ("home_01", "home_02")
WISHES: Final = Wishes(edges=2, homes=2)
DEADLINE_S: Final = 60.0
DEAD: Final = "dead"
"""What there is to see of a payment at a node that has died."""

PAY_S: Final = 10.0
"""For a payment on the way: it makes traffic to be killed in, and is not what is waited for."""


@dataclass
class World:
    """Broker, coordinator, two edges and two meters, without a supervisor: the test is one."""

    layout: Layout
    specs: Mapping[str, ProcessSpec]
    network: Network
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    """Ids of transactions that a node has taken."""

    restarts_s: dict[str, list[float]] = field(default_factory=dict)
    """From start to ready, by what was killed."""

    def start(self, name: str, fault: str | None = None) -> None:
        """Start a process, with one fault switched on or none."""
        spec = self.specs[name]
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        if fault is not None:
            environment[VARIABLE] = fault
        with spec.log_file.open("ab") as log:
            self.running[name] = subprocess.Popen(
                spec.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def kill(self, name: str) -> None:
        """Send SIGKILL and see the process gone."""
        process = self.running[name]
        process.kill()
        process.wait(DEADLINE_S)

    def wait_killed(self, name: str) -> None:
        """Return once a process has met its fault."""
        code = self.running[name].wait(DEADLINE_S)
        assert code == -signal.SIGKILL, f"{name} ended with {code}: {self.tail(name)}"

    def restart(self, name: str, what: str) -> float:
        """Start a killed process again, note how long it takes to serve, and return it."""
        before = self._progress(name)
        started = time.monotonic()
        self.start(name)
        self.wait(lambda: self._serves(name, before), f"{name} serves after {what}")
        took = time.monotonic() - started
        self.restarts_s.setdefault(what, []).append(took)
        return took

    def wait(self, holds: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
        """Wait until something holds."""
        wait_until(holds, what, limit_s)

    def pay(self, limit_s: float = DEADLINE_S) -> bool:
        """Have edge-1 take a payment; return whether it did. What it took must count in the end.

        It takes none once it is dead, nor while it is behind a coordinator that is: who kills may
        have to start that one first.
        """
        issuer = wallet_issuer(self.layout, self.layout.wallet_file(METERS[0]), None)
        payee = read_wallet_public_key(self.layout.wallet_file(METERS[1]))
        payment = transfer_operation(TransferEeuro(address_of(payee), 1))

        def paid() -> str | None:
            if self.running["edge-1"].poll() is not None:
                return DEAD
            try:
                return issue(self.client("edge-1"), issuer, payment, None, patience_s=0.0)
            except CommandError:  # not taken, so nothing was promised
                return None

        tx_id = poll(paid, limit_s)
        if tx_id is None or tx_id == DEAD:
            return False
        self.acknowledged.append(tx_id)
        return True

    def client(self, name: str) -> NodeClient:
        """Return a client of a node."""
        return NodeClient(self.specs[name].address, 5.0)

    def tail(self, name: str) -> str:
        """Return the end of a process's log."""
        return self.specs[name].log_file.read_text("utf-8")[-2_000:]

    def stop(self) -> None:
        """End what runs: meters first."""
        for name in reversed(self.running):
            process = self.running[name]
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    self.kill(name)

    def _serves(self, name: str, before: int) -> bool:
        assert self.running[name].poll() is None, f"{name} ended: {self.tail(name)}"
        if name in METERS:
            return self._progress(name) > before
        probe = self.specs[name].probe
        return probe is None or asyncio.run(_answer(probe))

    def _progress(self, name: str) -> int:
        """Return the last receipted reading of a meter; nothing for others."""
        if name not in METERS:
            return 0
        try:
            return read_outbox_state(self.layout.outbox(name)).receipted_through
        except TanglewattError:
            return -1


async def _answer(probe: Callable[[], Awaitable[bool]]) -> bool:
    return await probe()


def make_world(
    folder: Path, wishes: Wishes = WISHES, recordings: Mapping[str, bytes] | None = None
) -> World:
    """Make a network, of two edges and two homes if nothing else is wished, and start nothing.

    Args:
        folder: Where.
        wishes: What of it is not by default.
        recordings: What the meters play, by home; `None` for synthetic homes.
    """
    layout = Layout(folder)
    ports = free_ports(ports_needed(wishes), "127.0.0.1")
    plan = make_plan(wishes, time.time_ns() // 10**6, ports)
    create_network(layout, plan, recordings or {}, Tools(os.urandom, write_profile))
    layout.logs.mkdir(exist_ok=True)
    network = assemble(
        layout,
        load_network(layout),
        {},
        lambda outbox: read_outbox_state(outbox).produced,
    )
    specs = {spec.name: spec for stage in network.stages for spec in stage}
    return World(layout, specs, network)


@contextmanager
def running_world(folder: Path, made: World | None = None) -> Iterator[World]:
    """Run a network until all of it serves; stop it in the end, whatever happens."""
    world = make_world(folder) if made is None else made
    try:
        for name in ("broker", *NODES):
            world.start(name)
        for name in NODES:
            world.wait(world.client(name).is_ready, f"{name} is ready")
        for name in METERS:
            world.restart(name, "first start")
        yield world
    finally:
        world.stop()


def kill_at_random(world: World, rng: Random, names: tuple[str, ...]) -> None:
    """Kill one process at any moment of its life, and start it again."""
    name = rng.choice(names)
    world.pay(PAY_S)
    time.sleep(rng.uniform(0, 1.5))  # at any moment: that is what is tried
    world.kill(name)
    world.restart(name, f"random kill of {name}")


def python(code: str, fault: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a few lines in a process of their own, with a fault switched on or none."""
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    if fault is not None:
        environment[VARIABLE] = fault
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
