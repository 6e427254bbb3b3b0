"""The commands `init`, `down`, `status`: a whole network on one machine."""

import os
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Annotated, Final

import msgspec
import typer

from api.client.answers import InfoAnswer
from api.client.node_client import NodeClient
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.processes.leftovers import stop_leftovers, wait_gone
from api.processes.opening import Request, locked, make_or_open
from api.processes.pid_files import read_pid_file, send
from api.settings.layout import Layout, load_network, process_names
from api.settings.places import node_places
from api.settings.records import http_url
from api.terminal.options import (
    DEFAULT_DATA_DIR,
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
)
from api.terminal.talk import put, put_json, say

DOWN_TIMEOUT_S: Final = 90.0
"""Three stages of 15 s before SIGKILL, and what they take to notice."""

LEFTOVER_GRACE_S: Final = 10.0
STATUS_TIMEOUT_S: Final = 3.0

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new network.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME=HOST", help="Real host of coordinator, edge-N or broker."),
]


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process that `up` looks after."""

    name: str
    pid: int | None
    """`None` if it does not run."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node, as it answers."""

    name: str
    url: str
    is_ready: bool
    confirmed_index: int | None
    """`None` if it does not answer."""

    state_root: str | None
    has_halted: bool
    milestones_behind: int = 0
    catch_up_ms: int | None = None
    """Estimate for these; `None` while there is none."""


def init(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    folder: Folder,
    homes: Homes = None,
    edges: Edges = None,
    time_scale: TimeScale = None,
    name: NetworkName = None,
    seed: SeedNumber = None,
    base_port: BasePort = None,
    coordinators: Coordinators = None,
    quorum: Quorum = None,
    host: Hosts = None,
    people: People = None,
    as_json: AsJson = False,
) -> None:
    """Write genesis, keys and one TOML file for each process of a new network.

    Examples:
      tanglewatt init ./network --edges 3 --homes 10
      tanglewatt init ./network --homes recordings/ --base-port 15000
      tanglewatt init ./network --coordinators 4 --quorum 3
      tanglewatt init ./network --host edge-1=10.0.0.5 --host broker=10.0.0.2
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
        hosts=tuple(host or ()),
        people=people,
    )
    with ending(as_json=as_json):
        layout = layout_of(folder)
        with locked(layout):
            network, is_new = make_or_open(layout, request)
    say(f"✔ network {network.name} {'made' if is_new else 'found'} in {layout.root}")
    say(f"  next: tanglewatt up --data-dir {folder}")
    if as_json:
        put_json({"folder": str(layout.root), "made": is_new, **msgspec.to_builtins(network)})


def down(*, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Stop the network that `up` runs, and what a killed `up` has left behind.

    Examples:
      tanglewatt down
      tanglewatt down --data-dir ./replay
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        network = load_network(layout)
        running = read_pid_file(layout.up_pid_file)
        if running is not None and send(running, SIGTERM):
            say(f"stopping process {running.pid} …")
            if not wait_gone([running], DOWN_TIMEOUT_S):
                raise CommandError(
                    Failure(
                        FailureCode.DID_NOT_STOP,
                        ExitCode.TIMED_OUT,
                        f"process {running.pid} still runs after {DOWN_TIMEOUT_S:.0f} s",
                        "it was sent SIGTERM",
                        f"end it with: kill -9 {running.pid}; then run this again",
                    )
                )
        files = (layout.pid_file(one) for one in process_names(network))
        left = stop_leftovers(files, LEFTOVER_GRACE_S)
        say("✔ stopped" if running is not None or left else "nothing was running")
        if as_json:
            put_json({"stopped": running is not None or bool(left), "leftovers": left})


def status(*, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Show processes and nodes. Exit code 0 healthy, 3 not running, 4 unhealthy.

    Examples:
      tanglewatt status
      tanglewatt status --json --data-dir ./replay
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        network = load_network(layout)
        names = reversed(process_names(network))
        processes = [_process_status(layout, name) for name in names]
        nodes = [
            _node_status(place.name, http_url(place.http))
            for place in node_places(layout, network, os.environ)
        ]
        code = _health(nodes)
        up = read_pid_file(layout.up_pid_file)
        if as_json:
            put_json(
                {
                    "network": network.name,
                    "healthy": code is ExitCode.OK,
                    "up_pid": None if up is None else up.pid,
                    "processes": msgspec.to_builtins(processes),
                    "nodes": msgspec.to_builtins(nodes),
                }
            )
        else:
            _show(network.name, processes, nodes)
    raise SystemExit(int(code))


def _process_status(layout: Layout, name: str) -> ProcessStatus:
    mark = read_pid_file(layout.pid_file(name))
    return ProcessStatus(name, None if mark is None else mark.pid)


def _node_status(name: str, url: str) -> NodeStatus:
    client = NodeClient(url, STATUS_TIMEOUT_S)
    try:
        info: InfoAnswer = client.info()
    except CommandError:
        return NodeStatus(
            name, url, is_ready=False, confirmed_index=None, state_root=None, has_halted=False
        )
    return NodeStatus(
        name,
        url,
        client.is_ready(),
        info.confirmed_index,
        info.state_root,
        bool(info.halted),
        info.milestones_behind,
        info.catch_up_ms,
    )


def _health(nodes: list[NodeStatus]) -> ExitCode:
    if all(node.confirmed_index is None for node in nodes):
        return ExitCode.NOT_RUNNING
    healthy = all(node.is_ready and not node.has_halted for node in nodes)
    return ExitCode.OK if healthy else ExitCode.UNHEALTHY


def _show(name: str, processes: list[ProcessStatus], nodes: list[NodeStatus]) -> None:
    put(f"network {name}")
    for node in nodes:
        state = "ready" if node.is_ready else "not ready"
        if node.confirmed_index is None:
            state = "does not answer"
        elif node.has_halted:
            state = "HALTED: it stopped confirming, an operator must decide"
        index = "" if node.confirmed_index is None else f"milestone {node.confirmed_index}"
        if node.milestones_behind and not node.is_ready:
            index += f", {node.milestones_behind} behind"
        if node.catch_up_ms is not None:
            index += f", about {-(-node.catch_up_ms // 1_000)} s to go"
        put(f"  {node.name:<12} {node.url:<28} {state:<16} {index}".rstrip())
    alive = sum(process.pid is not None for process in processes)
    put(f"  {alive} of {len(processes)} processes run")
