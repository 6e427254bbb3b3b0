"""A data folder: what lies where, and the file that says which network it is.

network.json     what `init` made: names of edges and homes, source, time scale
genesis.json     genesis for people and programs; genesis.bin its canonical bytes
passphrase       opens every key file here, mode 0600
operator.key     the voter who may sponsor new devices
people/          of a demonstration: voter.key, banker.key, owner.key, in-flight.json
battery/         of a demonstration: meter.toml, meter.key, data/
authority.key    signs the certificates of nodes; authority.pem its own certificate
broker/          broker.toml
coordinator/     coordinator.toml, node.key, node.pem, coordinator.key, coordinator.lock, data/
edge-1/ …        node.toml, node.key, node.pem, data/
                 a co-signer has cosigner.key and cosigner.lock too
homes/NAME/      meter.toml, meter.key, wallet.key, recording.csv, data/
                 with a meter for its roof: roof.toml, roof.key, roof/
logs/ run/       logs, pid files and locks of `up`
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode

NETWORK_FILE: Final = "network.json"
UNFINISHED_FILE: Final = ".unfinished"
LOCK_FILE: Final = ".lock"
MAX_NETWORK_FILE_SIZE: Final = 4 * 2**20

COORDINATOR: Final = "coordinator"
COSIGNER_KEY: Final = "cosigner.key"
COSIGNER_LOCK: Final = "cosigner.lock"
BROKER: Final = "broker"
BATTERY: Final = "battery"
COMMUNITY: Final = "community"
"""The process that plays the people of a demonstration."""

VOTER: Final = "voter"
BANKER: Final = "banker"
OWNER: Final = "owner"
METER_KEY: Final = "meter.key"
ROOF_KEY: Final = "roof.key"
ROOF: Final = "roof"
OUTBOX: Final = "outbox.sqlite"
MAX_EDGES: Final = 64
MAX_HOMES: Final = 10_000

Source = Literal["recorded", "synthetic"]


class NetworkFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a data folder holds; written last, so that who finds it finds the rest."""

    schema: Literal[1]
    name: str
    created_at_ms: int
    """Wall clock, as in genesis."""

    time_scale: Annotated[int, msgspec.Meta(ge=1)]
    source: Source
    edges: tuple[str, ...]
    homes: tuple[str, ...]
    has_people: bool = False
    """Whether it is a demonstration, whose people and battery act by themselves."""

    roofs: tuple[str, ...] = ()
    """Homes whose roof has a meter of its own."""


@dataclass(frozen=True, slots=True)
class MeterFiles:
    """One meter: how people call it, what it is told, and where it keeps its readings."""

    name: str
    config: Path
    key: Path
    outbox: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths within one data folder."""

    root: Path

    @property
    def network_file(self) -> Path:
        """Says which network this is."""
        return self.root / NETWORK_FILE

    @property
    def unfinished_file(self) -> Path:
        """Stands while `init` writes: whoever finds it may clear away and begin anew."""
        return self.root / UNFINISHED_FILE

    @property
    def genesis_file(self) -> Path:
        """Genesis as JSON."""
        return self.root / "genesis.json"

    @property
    def genesis_bytes_file(self) -> Path:
        """Genesis as canonical bytes."""
        return self.root / "genesis.bin"

    @property
    def passphrase_file(self) -> Path:
        """Opens every key file of the folder."""
        return self.root / "passphrase"

    @property
    def operator_key_file(self) -> Path:
        """Key of the voter."""
        return self.root / "operator.key"

    @property
    def authority_key_file(self) -> Path:
        """Key that signs the certificates of nodes."""
        return self.root / "authority.key"

    @property
    def authority_file(self) -> Path:
        """Certificate of that key."""
        return self.root / "authority.pem"

    @property
    def coordinator_folder(self) -> Path:
        """Of the coordinator."""
        return self.root / COORDINATOR

    @property
    def coordinator_config(self) -> Path:
        """TOML file of the coordinator."""
        return self.coordinator_folder / "coordinator.toml"

    @property
    def broker_config(self) -> Path:
        """TOML file of the embedded broker."""
        return self.root / BROKER / "broker.toml"

    @property
    def profile_file(self) -> Path:
        """Household profile that synthetic homes share."""
        return self.root / "homes" / "household.profile"

    @property
    def logs(self) -> Path:
        """Logs of the child processes."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Pid files and locks."""
        return self.root / "run"

    @property
    def lock_file(self) -> Path:
        """Held by the one `init` or `up` that is at work in this folder."""
        return self.root / LOCK_FILE

    @property
    def up_pid_file(self) -> Path:
        """Says which process is the `up` of this folder."""
        return self.run / "up.pid"

    def edge_folder(self, name: str) -> Path:
        """Return the folder of an edge node."""
        return self.root / name

    def node_folder(self, name: str) -> Path:
        """Return the folder of a node: of the coordinator, or of an edge node."""
        return self.coordinator_folder if name == COORDINATOR else self.edge_folder(name)

    def node_key_file(self, name: str) -> Path:
        """Return the key file of a node."""
        return self.node_folder(name) / "node.key"

    def certificate_file(self, name: str) -> Path:
        """Return the certificate of a node."""
        return self.node_folder(name) / "node.pem"

    def edge_config(self, name: str) -> Path:
        """Return the TOML file of an edge node."""
        return self.edge_folder(name) / "node.toml"

    def home_folder(self, name: str) -> Path:
        """Return the folder of a home."""
        return self.root / "homes" / name

    def meter_config(self, name: str) -> Path:
        """Return the TOML file of a home's meter."""
        return self.home_folder(name) / "meter.toml"

    def wallet_file(self, name: str) -> Path:
        """Return the wallet of the member who lives there."""
        return self.home_folder(name) / "wallet.key"

    def recording_file(self, name: str) -> Path:
        """Return the recording that the home's meter plays."""
        return self.home_folder(name) / "recording.csv"

    def outbox(self, name: str) -> Path:
        """Return the file in which the home's meter keeps its readings."""
        return self.home_folder(name) / "data" / OUTBOX

    def roof_config(self, name: str) -> Path:
        """Return the TOML file of the meter of a home's roof."""
        return self.home_folder(name) / "roof.toml"

    @property
    def people_folder(self) -> Path:
        """Keys of the people of a demonstration who live in no home."""
        return self.root / "people"

    def person_key_file(self, name: str) -> Path:
        """Return the key of `VOTER`, `BANKER` or `OWNER`."""
        return self.people_folder / f"{name}.key"

    @property
    def in_flight_file(self) -> Path:
        """Says what the people have issued and not heard of yet."""
        return self.people_folder / "in-flight.json"

    @property
    def battery_folder(self) -> Path:
        """Of the battery of a demonstration."""
        return self.root / BATTERY

    @property
    def battery_config(self) -> Path:
        """TOML file of its meter."""
        return self.battery_folder / "meter.toml"

    def meters(self, process: str, network: NetworkFile) -> tuple[MeterFiles, ...]:
        """Return the meters that one process runs: a home's one or two, or the battery's."""
        if process == BATTERY:
            folder = self.battery_folder
            outbox = folder / "data" / OUTBOX
            return (MeterFiles(BATTERY, self.battery_config, folder / METER_KEY, outbox),)
        folder = self.home_folder(process)
        home = MeterFiles(
            process, self.meter_config(process), folder / METER_KEY, self.outbox(process)
        )
        if process not in network.roofs:
            return (home,)
        outbox = folder / ROOF / OUTBOX
        name = f"{process}_{ROOF}"
        return home, MeterFiles(name, self.roof_config(process), folder / ROOF_KEY, outbox)

    def log_file(self, process: str) -> Path:
        """Return the log of a process."""
        return self.logs / f"{process}.log"

    def pid_file(self, process: str) -> Path:
        """Return the pid file of a process."""
        return self.run / f"{process}.pid"


def load_network(layout: Layout) -> NetworkFile:
    """Return which network a data folder holds. Raises `CommandError` if it holds none."""
    try:
        with layout.network_file.open("rb") as stream:
            return msgspec.json.decode(stream.read(MAX_NETWORK_FILE_SIZE), type=NetworkFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise CommandError(
            Failure(
                FailureCode.NO_NETWORK,
                ExitCode.NOT_RUNNING,
                f"{layout.root} holds no network",
                f"{layout.network_file.name}: {error}",
                "make and start one with `tanglewatt up`, or name the right folder with --data-dir",
            )
        ) from error


def process_names(network: NetworkFile) -> tuple[str, ...]:
    """Return all that `up` runs, in order of stopping."""
    people = (BATTERY, COMMUNITY) if network.has_people else ()
    return (*people, *network.homes, COORDINATOR, *network.edges, BROKER)


def has_network(layout: Layout) -> bool:
    """Return whether `init` has finished in this folder."""
    return layout.network_file.is_file()
