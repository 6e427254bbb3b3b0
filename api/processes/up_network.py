"""From a data folder to what `up` runs: the commands, the doors to ask, the files to read."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from signal import SIGUSR1
from typing import Final

from api.client.node_client import NodeClient
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.network.init import parse_recordings
from api.network.ports import is_free
from api.processes.children import ProcessSpec
from api.processes.observer import MeterPlace, NodeDoor, Observer
from api.processes.up import Network
from api.processes.up_report import Registers
from api.settings.config import load_config
from api.settings.layout import BROKER, Layout, NetworkFile
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
        meters=tuple(_meter_place(layout, name) for name in network.homes),
        nodes=tuple(NodeDoor(place.name, NodeClient(http_url(place.http))) for place in nodes),
        read_produced=read_produced,
    )
    return Network(
        stages=(
            (_broker_spec(layout, broker),),
            tuple(_node_spec(layout, place) for place in nodes),
            tuple(_meter_spec(layout, name) for name in network.homes),
        ),
        observer=observer,
        recorded=_last_rows(layout, network),
        urls=tuple(http_url(place.http) for place in nodes),
    )


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


def _meter_place(layout: Layout, name: str) -> MeterPlace:
    public = read_public_key(layout.home_folder(name) / "meter.key")
    return MeterPlace(name, encode_address(address_of(public)), layout.outbox(name))


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


def _meter_spec(layout: Layout, name: str) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        command=_command("api.processes.meter_main", layout.meter_config(name)),
        log_file=layout.log_file(name),
        pid_file=layout.pid_file(name),
        may_finish=True,
        finish_signal=SIGUSR1,
        finish_arguments=(DELIVER_ONLY,),
    )


def _command(module: str, config_file: Path) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module, "--config", str(config_file))


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
