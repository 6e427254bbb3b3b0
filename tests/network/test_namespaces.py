"""Nodes on machines of their own: one is cut off and healed, one has a line that loses packets.

Each machine is a network namespace; the links between the nodes are mutual TLS. Every edge node
has a broker and a meter beside it, so that both sides of a cut go on taking readings, and each
takes payments of a member.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from api.client.issuing import issue
from api.commands.access_files import wallet_issuer
from api.failures import CommandError
from api.network.init import Tools, create_network, write_profile
from api.network.plan import Wishes, make_plan, ports_needed
from api.network.ports import free_ports
from api.processes.accounting import MeterKept, NodeSeen, absent, common_root, tally
from api.processes.observer import see_node
from api.processes.up_network import assemble
from api.settings.layout import BROKER, COORDINATOR, Layout, load_network
from api.settings.wallet_file import read_wallet_public_key
from devices.outbox import read_outbox_state
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tangle.errors import UnavailableError
from tangle.outcomes import State
from tests.network.killing import World
from tests.network.namespaces import Lab, lab
from tests.network.waiting import wait_until

EDGES: Final = ("edge-1", "edge-2")
MACHINES: Final = (COORDINATOR, *EDGES)
HOMES: Final = {"edge-1": "home_01", "edge-2": "home_02"}
MISSED: Final = 6
"""Milestones that are issued while a node is cut off: far behind, by the rule of `catch_up`."""

LIMIT_S: Final = 60.0
LOSSY: Final = ("netem", "delay", "80ms", "20ms", "loss", "5%")
NARROW: Final = ("tbf", "rate", "48kbit", "burst", "1600", "limit", "1600")
"""Six kilobytes a second; of what comes faster one packet waits and the rest is dropped."""


@dataclass
class Community:
    """A network whose nodes are on machines of their own."""

    lab: Lab
    world: World
    payments: list[str] = field(default_factory=list)
    """Ids of what a node has acknowledged, on either side of a cut."""

    def see(self, machine: str) -> NodeSeen | None:
        """Ask a node, on its own machine, what it has confirmed."""
        with self.lab.inside(machine):
            return see_node(machine, self.world.client(machine))

    def look(self) -> dict[str, NodeSeen]:
        """Ask all nodes."""
        seen = {machine: self.see(machine) for machine in MACHINES}
        return {machine: one for machine, one in seen.items() if one is not None}

    def state(self, machine: str, tx_id: str) -> str:
        """Return where a transaction stands on one node."""
        with self.lab.inside(machine):
            try:
                return self.world.client(machine).transaction(tx_id).state
            except CommandError:
                return State.UNKNOWN

    def health(self, machine: str) -> dict[str, dict[str, Any]]:
        """Return the health checks of a node, by name."""
        with self.lab.inside(machine):
            response = self.world.client(machine).ask("GET", "/health")
        return {one["name"]: one for one in json.loads(response.body)["checks"]}

    def pay(self, machine: str) -> str:
        """Have a node take a payment of the member who lives there; return its id."""
        layout = self.world.layout
        payee = next(home for edge, home in HOMES.items() if edge != machine)
        issuer = wallet_issuer(layout, layout.wallet_file(HOMES[machine]), None)
        to = address_of(read_wallet_public_key(layout.wallet_file(payee)))
        with self.lab.inside(machine):
            tx_id = issue(
                self.world.client(machine), issuer, transfer_operation(TransferEeuro(to, 1)), None
            )
        self.payments.append(tx_id)
        return tx_id

    def kept(self) -> list[MeterKept]:
        """Return what the meters have made so far."""
        addresses = {place.name: place.address for place in self.world.network.observer.meters}
        outboxes = {name: self.world.layout.outbox(name) for name in HOMES.values()}
        return [
            MeterKept(name, addresses[name], read_outbox_state(outbox).produced)
            for name, outbox in outboxes.items()
        ]

    def has_confirmed(self, kept: list[MeterKept]) -> bool:
        """Return whether every node counts these readings and all payments so far."""
        nodes = self.look()
        if len(nodes) < len(MACHINES):
            return False
        for meter in kept:
            whole = [(0, meter.produced - 1)]
            seen = [node.devices.get(meter.address) for node in nodes.values()]
            if any(device is None or absent(whole, device.ranges) for device in seen):
                return False
        return all(
            self.state(machine, one) == State.APPLIED
            for machine in MACHINES
            for one in self.payments
        )

    def is_agreed(self) -> bool:
        """Return whether all nodes have one root after one milestone, within two milestones."""
        deadline, roots = time.monotonic() + 6.0, dict[int, dict[str, str]]()
        while time.monotonic() < deadline:
            for node in self.look().values():
                roots.setdefault(node.index, {})[node.name] = node.state_root
            if common_root(roots, MACHINES) is not None:
                return True
        return False


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Community]:
    with lab(MACHINES) as machines:
        world = make_world(tmp_path_factory.mktemp("namespaces") / "net", machines)
        try:
            for name in (*[f"{BROKER}-{edge}" for edge in EDGES], *MACHINES):
                world.start(name)
            community = Community(machines, world)
            wait_until(lambda: are_ready(community), "all nodes are ready")
            for home in HOMES.values():
                world.start(home)
            wait_until(lambda: has_measured(world), "both meters have measured")
            yield community
        finally:
            world.stop()


def make_world(folder: Path, machines: Lab) -> World:
    """Make a network whose processes run on their machines, and start nothing."""
    layout = Layout(folder)
    wishes = Wishes(
        edges=len(EDGES),
        homes=len(HOMES),
        hosts={machine: machines.address(machine) for machine in MACHINES},
    )
    ports = free_ports(ports_needed(wishes), "127.0.0.1")
    plan = make_plan(wishes, time.time_ns() // 10**6, ports)
    create_network(layout, plan, {}, Tools(os.urandom, write_profile))
    layout.logs.mkdir(exist_ok=True)
    network = assemble(
        layout, load_network(layout), {}, lambda outbox: read_outbox_state(outbox).produced
    )
    found = {spec.name: spec for stage in network.stages for spec in stage}
    places = {machine: machine for machine in MACHINES}
    places |= {home: edge for edge, home in HOMES.items()}
    specs = {
        name: replace(found[name], command=machines.command(machine, found[name].command))
        for name, machine in places.items()
    }
    for edge in EDGES:  # loopback is each machine's own, so one address serves both brokers
        command = machines.command(edge, found[BROKER].command)
        name = f"{BROKER}-{edge}"
        specs[name] = replace(
            found[BROKER], name=name, command=command, log_file=layout.log_file(name)
        )
    return World(layout, specs, network)


def are_ready(community: Community) -> bool:
    """Return whether every node says that it is ready, and hears its peers."""
    for machine in MACHINES:
        process = community.world.running[machine]
        assert process.poll() is None, f"{machine} ended: {community.world.tail(machine)}"
        with community.lab.inside(machine):
            if not community.world.client(machine).is_ready():
                return False
    return all(community.health(machine)["peers"]["status"] == "pass" for machine in MACHINES)


def has_measured(world: World) -> bool:
    """Return whether every meter has made a reading."""
    try:
        return all(
            read_outbox_state(world.layout.outbox(home)).produced > 0 for home in HOMES.values()
        )
    except UnavailableError:
        return False


def test_a_node_that_was_cut_off_says_so_and_converges_once_healed(community: Community) -> None:
    lab, cut = community.lab, EDGES[1]
    before = community.look()[COORDINATOR].index

    lab.cut(cut)
    made_before = {meter.name: meter.produced for meter in community.kept()}
    lonely = [community.pay(cut), community.pay(EDGES[0])]
    wait_until(
        lambda: community.look()[COORDINATOR].index >= before + MISSED, f"{MISSED} milestones"
    )
    wait_until(lambda: community.health(cut)["peers"]["status"] == "fail", "it hears no peer")
    said = community.health(cut)
    lonely += [community.pay(cut), community.pay(EDGES[0])]
    elsewhere, seen = community.look()[COORDINATOR], community.look()[cut]

    assert said["peers"]["detail"].startswith("0 of 2 peers connected")
    assert said["coordinator"]["status"] != "pass", said["coordinator"]
    assert community.health(EDGES[0])["peers"]["status"] == "warn"
    assert seen.index <= elsewhere.index - MISSED // 2
    assert {community.state(cut, one) for one in lonely[::2]} <= {State.TIP, State.PENDING}
    assert community.state(COORDINATOR, lonely[2]) == State.UNKNOWN
    assert community.state(EDGES[0], lonely[1]) == State.APPLIED
    assert all(meter.produced > made_before[meter.name] for meter in community.kept())

    kept = community.kept()
    lab.heal(cut)
    wait_until(
        lambda: community.has_confirmed(kept), "all that both sides took is confirmed everywhere"
    )
    wait_until(lambda: community.health(cut)["sync"]["status"] == "pass", "the cut node is in step")

    assert community.is_agreed()


@pytest.mark.parametrize("discipline", [LOSSY, NARROW], ids=["lossy", "narrow"])
def test_a_bad_line_delays_and_loses_nothing(
    community: Community, discipline: tuple[str, ...]
) -> None:
    lab, far = community.lab, EDGES[1]
    why = lab.narrow(far, *discipline)
    if why is not None:
        pytest.skip(f"this kernel has no {discipline[0]} queue: {why}")
    try:
        for machine in (far, EDGES[0], far):
            community.pay(machine)
        wait_until(lambda: lab.lost_packets(far) > 0, "the line loses packets")
        kept = community.kept()

        wait_until(lambda: community.has_confirmed(kept), "all is confirmed over the bad line")
    finally:
        lab.widen(far)

    assert community.is_agreed()


def test_in_the_end_every_reading_counts_once_on_every_machine(community: Community) -> None:
    for home in HOMES.values():
        community.world.running[home].send_signal(signal.SIGUSR1)
    for home in HOMES.values():
        assert community.world.running[home].wait(LIMIT_S) == 0, community.world.tail(home)
    kept = community.kept()

    wait_until(
        lambda: tally(kept, list(community.look().values())).is_complete, "all is confirmed once"
    )

    assert community.is_agreed()
