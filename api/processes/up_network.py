"""From a data folder to what `up` runs: the commands, the doors to ask, the files to read."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from signal import SIGUSR1
from typing import Final

from api.client.node_client import NodeClient
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.http.energy_forms import EnergyJson
from api.network.init import parse_recordings
from api.network.ports import is_free
from api.processes.children import ProcessSpec
from api.processes.community_door import CommunityDoor
from api.processes.observer import MeterPlace, NodeDoor, Observer
from api.processes.up import Network
from api.processes.up_report import Registers
from api.settings.config import load_config
from api.settings.layout import BATTERY, BROKER, COMMUNITY, COORDINATOR, Layout, NetworkFile
from api.settings.places import NodePlace, node_places
from api.settings.records import BrokerConfig, Mqtt, http_url
from edge.ground.key_file import read_public_key
from tangle.address import address_of, encode_address

PROBE_TIMEOUT_S: Final = 2.0
DELIVER_ONLY: Final = "--deliver-only"
"""Flag of the meter's process: make no new reading, deliver what is kept, end."""


def assemble(
    layout: Layout,
    network: NetworkFile,
    environment: Mapping[str, str],
    read_produced: Callable[[Path], int],
) -> Network:
    """Return what `up` runs. Raises `CommandError` for a configuration that breaks a rule."""
    broker = load_config(BrokerConfig, layout.broker_config, environment).mqtt
    nodes = node_places(layout, network, environment)
    observer = Observer(
        meters=tuple(_meter_places(layout, network)),
        nodes=tuple(NodeDoor(place.name, NodeClient(http_url(place.http))) for place in nodes),
        read_produced=read_produced,
    )
    meters = tuple(_meter_spec(layout, network, name) for name in network.homes)
    people: tuple[ProcessSpec, ...] = ()
    if network.has_people:
        # A battery goes into service once the ledger knows it: what it was charged with before
        # that would belong to nobody.
        begun = _begun(http_url(nodes[1].http))
        meters = (*meters, replace(_meter_spec(layout, network, BATTERY), waits_for=begun))
        people = (_community_spec(layout),)
    return Network(
        stages=(
            (_broker_spec(layout, broker),),
            tuple(_node_spec(layout, place) for place in nodes),
            (*meters, *people),
        ),
        meters=frozenset(one.name for one in meters),
        observer=observer,
        recorded=_last_rows(layout, network),
        urls=tuple(http_url(place.http) for place in nodes),
        community=_community_door(network, nodes) if network.has_people else None,
    )


def _community_door(network: NetworkFile, nodes: Sequence[NodePlace]) -> CommunityDoor:
    edges = [one for one in nodes if one.name != COORDINATOR]
    clients = tuple(NodeClient(http_url(one.http)) for one in edges)
    return CommunityDoor(clients, has_roofs=bool(network.roofs))


def require_free_ports(
    layout: Layout, network: NetworkFile, environment: Mapping[str, str]
) -> None:
    """Check that every address can be listened on. Raises `CommandError` that names file and key.

    Asked here, where the answer can be put in words, before four processes find out.
    """
    broker = load_config(BrokerConfig, layout.broker_config, environment).mqtt
    wanted = [("mqtt.port", layout.broker_config, broker.host, broker.port)]
    for place in node_places(layout, network, environment):
        wanted.append(("http.port", place.config_file, place.http.host, place.http.port))
        wanted += [
            ("mesh.listen", place.config_file, host, port)
            for host, port in _listeners(place.endpoints)
        ]
    for key, file, host, port in wanted:
        if not is_free(host, port):
            raise CommandError(
                Failure(
                    FailureCode.PORT_IN_USE,
                    ExitCode.FAILED,
                    f"cannot listen on {host} port {port} ({key} in {file})",
                    "another program listens there, or the host is not this machine",
                    f"stop the other program, or change {key} in {file}",
                )
            )


def _listeners(endpoints: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for endpoint in endpoints:
        host, _, port = endpoint.partition("/")[2].rpartition(":")
        yield host.strip("[]"), int(port)


def _meter_places(layout: Layout, network: NetworkFile) -> Iterator[MeterPlace]:
    """Yield every meter, homes first."""
    batteries = (BATTERY,) if network.has_people else ()
    for process in (*network.homes, *batteries):
        for one in layout.meters(process, network):
            address = encode_address(address_of(read_public_key(one.key)))
            yield MeterPlace(one.name, address, one.outbox)


def _last_rows(layout: Layout, network: NetworkFile) -> dict[str, Registers]:
    if network.source != "recorded":
        return {}
    files = {name: layout.recording_file(name).read_bytes() for name in network.homes}
    last = {name: one.rows[-1].registers for name, one in parse_recordings(files).items()}
    return {name: (registers.import_wh, registers.export_wh) for name, registers in last.items()}


def _broker_spec(layout: Layout, mqtt: Mqtt) -> ProcessSpec:
    return ProcessSpec(
        name=BROKER,
        command=_command("api.processes.broker_main", layout.broker_config),
        log_file=layout.log_file(BROKER),
        pid_file=layout.pid_file(BROKER),
        address=f"{mqtt.host}:{mqtt.port}",
        probe=_listens(mqtt.host, mqtt.port),
    )


def _node_spec(layout: Layout, place: NodePlace) -> ProcessSpec:
    url = http_url(place.http)
    client = NodeClient(url, PROBE_TIMEOUT_S)

    async def is_ready() -> bool:
        return await asyncio.to_thread(client.is_ready)

    return ProcessSpec(
        name=place.name,
        command=_command(place.module, place.config_file),
        log_file=layout.log_file(place.name),
        pid_file=layout.pid_file(place.name),
        address=url,
        probe=is_ready,
    )


def _meter_spec(layout: Layout, network: NetworkFile, name: str) -> ProcessSpec:
    """Return the process of a home's meters, or of the battery's."""
    files = [one.config for one in layout.meters(name, network)]
    return ProcessSpec(
        name=name,
        command=_command("api.processes.meter_main", *files),
        log_file=layout.log_file(name),
        pid_file=layout.pid_file(name),
        may_finish=True,
        finish_signal=SIGUSR1,
        finish_arguments=(DELIVER_ONLY,),
    )


def _community_spec(layout: Layout) -> ProcessSpec:
    return ProcessSpec(
        name=COMMUNITY,
        command=(*_PYTHON, "api.processes.community_main", "--data-dir", str(layout.root)),
        log_file=layout.log_file(COMMUNITY),
        pid_file=layout.pid_file(COMMUNITY),
        address="voters, a banker and members act by themselves",
    )


def _begun(url: str) -> Callable[[], Awaitable[bool]]:
    client = NodeClient(url, PROBE_TIMEOUT_S)

    async def begun() -> bool:
        return await asyncio.to_thread(_has_begun, client)

    return begun


def _has_begun(client: NodeClient) -> bool:
    """Return whether the voters have done their work: a banker, and a battery that is settled."""
    try:
        energy = client.answer("energy", EnergyJson)
    except CommandError:
        return False
    is_settled = any(one.reporter is not None for one in energy.units)
    return is_settled and energy.banker is not None


_PYTHON: Final = (sys.executable, "-P", "-m")


def _command(module: str, *config_files: Path) -> tuple[str, ...]:
    named = (part for file in config_files for part in ("--config", str(file)))
    return (*_PYTHON, module, *named)


def _listens(host: str, port: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host, port)
        except OSError:  # refused, or the time is over
            return False
        writer.close()
        return True

    return probe
