"""What each kind of process is told, as frozen values: one record per TOML file.

`config.py` fills them in from file, environment and flags; nothing here knows how. Paths are
absolute by then, keys and addresses are bytes, and every number is within its range.
"""

from dataclasses import dataclass
from typing import Final, Literal

from api.settings.config_fields import (
    AbsolutePath,
    AddressBytes,
    Alias,
    DeviceRole,
    Endpoint,
    Files,
    Host,
    IntervalMs,
    JournalBytes,
    KeyBytes,
    NonNegative,
    PatienceMinutes,
    Port,
    Positive,
    PruningDepth,
    ReadingsHours,
    Seed,
    Share,
    SignatureBytes,
    Zone,
)

LOOPBACK: Final = "127.0.0.1"
"""Anything wider is asked for."""

DEFAULT_MESH_PORT: Final = 7_447
"""Zenoh's own."""

DEFAULT_HTTP_PORT: Final = 8_080
DEFAULT_MQTT_PORT: Final = 1_883
"""Registered for MQTT with IANA."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Section `node` or `meter`: who the process is, and where it keeps what it knows."""

    name: Alias
    data_dir: AbsolutePath
    genesis_file: AbsolutePath
    key_file: AbsolutePath
    passphrase_file: AbsolutePath


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its public key, and the name people see for it."""

    key: KeyBytes
    alias: Alias


@dataclass(frozen=True, slots=True)
class Tls:
    """Section `mesh.tls`: by what a node proves itself to its peers, and tells who is one."""

    certificate_file: AbsolutePath
    """PEM; of the node's own key."""

    authority_file: AbsolutePath
    """PEM; of those who sign the certificates of peers."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Section `mesh`: where gossip listens, whom it calls, whom it believes."""

    listen: tuple[Endpoint, ...] = (f"tcp/{LOOPBACK}:{DEFAULT_MESH_PORT}",)
    connect: tuple[Endpoint, ...] = ()
    peers: tuple[Peer, ...] = ()
    expelled: tuple[KeyBytes, ...] = ()
    """Keys of nodes that are refused, whoever lists them as peers and whatever certificate they
    hold: one list, the same for all nodes of a community."""

    allow_plain: bool = False
    """Lets `tcp/` endpoints leave this machine, where frames are signed but anyone reads them."""

    tls: Tls | None = None
    """Without it, links are plain."""


def heard_peers(mesh: Mesh) -> tuple[Peer, ...]:
    """Return the peers that may be heard: those that are not expelled."""
    return tuple(peer for peer in mesh.peers if peer.key not in mesh.expelled)


@dataclass(frozen=True, slots=True)
class Http:
    """Section `http`: where the node answers people and programs."""

    host: Host = LOOPBACK
    port: Port = DEFAULT_HTTP_PORT
    hosts: tuple[Host, ...] = ()
    """Further names under which people reach it: what a `Host` header may say."""


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Section `mqtt`: the broker between meters and edge nodes."""

    host: Host = LOOPBACK
    port: Port = DEFAULT_MQTT_PORT


@dataclass(frozen=True, slots=True)
class Intake:
    """Section `intake`: how readings become transactions."""

    batch_interval_ms: IntervalMs = 1_000
    """Wall time after which what was journalled is committed to in one transaction."""


@dataclass(frozen=True, slots=True)
class History:
    """Section `history`: how much of the past the node keeps."""

    pruning_depth: PruningDepth = 10_000
    """Milestones whose transactions are kept: at 2 s five and a half hours; 0 for all."""

    max_journal_bytes: JournalBytes = 0
    """More of the oldest leave while the journal holds more; 0 for no limit."""

    readings_hours: ReadingsHours = 0
    """Of ledger time: how long a meter's readings stay after they were measured; 0 for ever. They
    are all there is of a load curve, so they leave only if that is asked for."""

    snapshots: bool = False
    """Whether the node writes a snapshot every `snapshot_interval` milestones. A coordinator does
    so in any case."""


@dataclass(frozen=True, slots=True)
class Join:
    """Section `join`: whether the node starts from a peer's snapshot, to spare it all history."""

    snapshots: Literal["auto", "on", "off"] = "auto"
    """`auto`: not where `history.pruning_depth` is 0, for an archive is to hold all; `on`: there as
    well; `off`: never."""

    ahead: NonNegative = 1_000
    """Milestones: up to so many a node that has applied none fetches one by one."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One of `devices`: a device that this node sponsors and whose readings it takes."""

    key: KeyBytes
    owner: AddressBytes
    role: DeviceRole
    proof: SignatureBytes
    """The device's own signature, so that nobody enrols a key that is not theirs."""


@dataclass(frozen=True, slots=True)
class UnitSettlement:
    """One of `settlement.units`: a storage unit that this node settles."""

    unit: AddressBytes
    meter: AddressBytes
    """The device, homed here, whose registers are the unit's."""

    key_file: AbsolutePath
    """The key that the unit delegates to, perhaps the node's own; or the unit's."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One of `settlement.replacements`: a meter that was put in place of another."""

    meter: AddressBytes
    replaces: AddressBytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """Section `settlement`: of a node that is home to meters. Each settles for its members."""

    zone: Zone = "UTC"
    """Whose midnights part the days."""

    patience_minutes: PatienceMinutes = 60
    """Ledger time that a period waits for missing readings once it is over."""

    shows_totals: bool = False
    """Whether the HTTP door tells what all homes here come to: of one home, that is its own."""

    pv_meters: tuple[AddressBytes, ...] = ()
    """Behind their homes' grid meters: what they count as export is production."""

    replacements: tuple[Replacement, ...] = ()
    units: tuple[UnitSettlement, ...] = ()
    issuers: tuple[AddressBytes, ...] = ()
    """Of bills: they are told what their customers' days came to, and of no one reading."""


@dataclass(frozen=True, slots=True)
class CoSigner:
    """Section `cosigner`: of an edge node that also signs what the leader proposes."""

    key_file: AbsolutePath
    lock_file: AbsolutePath
    leader_key: KeyBytes
    """Coordinator key whose proposals are signed: others could split the signatures."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """All an edge node is told."""

    node: Identity
    mesh: Mesh = Mesh()
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    intake: Intake = Intake()
    devices: tuple[Enrolment, ...] = ()
    history: History = History()
    join: Join = Join()
    cosigner: CoSigner | None = None
    settlement: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class Signing:
    """Section `coordinator`: the key that finalises, and the proof of what it signed last."""

    key_file: AbsolutePath
    lock_file: AbsolutePath


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    """All a coordinator is told: it is a node that also issues milestones."""

    node: Identity
    coordinator: Signing
    mesh: Mesh = Mesh()
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    intake: Intake = Intake()
    devices: tuple[Enrolment, ...] = ()
    history: History = History()
    join: Join = Join()


def node_part(config: CoordinatorConfig) -> NodeConfig:
    """Return what the coordinator's process has in common with an edge node."""
    return NodeConfig(
        config.node,
        config.mesh,
        config.http,
        config.mqtt,
        config.intake,
        config.devices,
        config.history,
        config.join,
    )


@dataclass(frozen=True, slots=True)
class HomeEdge:
    """Section `edge` of a meter: the node that takes its readings."""

    key: KeyBytes
    """Only a receipt by this key lets the meter forget a reading."""


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """Section `source` of a meter that plays a recording."""

    kind: Literal["recorded"]
    file: AbsolutePath
    """CSV with `interval_end,import_register_wh,export_register_wh`."""


@dataclass(frozen=True, slots=True)
class SyntheticSource:
    """Section `source` of a meter in a home that is made up from a seed."""

    kind: Literal["synthetic"]
    seed: Seed
    """Of the community: the weather and all that is drawn for its homes."""

    home: NonNegative
    """Number of the home."""

    profile_file: AbsolutePath
    """Household load profile that all synthetic homes share."""

    measures: Literal["home", "roof"] = "home"
    """What it meets the grid with, or what its roof gives."""


@dataclass(frozen=True, slots=True)
class Plate:
    """What is said of any simulated battery."""

    capacity_wh: Positive
    power_w: Positive
    """At most, both ways."""

    efficiency_ppm: Share
    """Of a charge, what is stored."""

    reserve_wh: NonNegative
    """Never given away."""


@dataclass(frozen=True, slots=True)
class BatterySource(Plate):
    """Section `source` of the meter of a simulated battery that follows made-up homes."""

    kind: Literal["battery"]
    seed: Seed
    homes: Positive
    """How many there are, numbered from 0."""

    profile_file: AbsolutePath


@dataclass(frozen=True, slots=True)
class RecordedBatterySource(Plate):
    """Section `source` of the meter of a simulated battery that follows recorded homes."""

    kind: Literal["recorded_battery"]
    files: Files
    """Their recordings."""


Source = RecordedSource | SyntheticSource | BatterySource | RecordedBatterySource


@dataclass(frozen=True, slots=True)
class EnergyAccounts:
    """Section `ctt` of a meter that reports for energy accounts and has a relay."""

    zone: Zone = "UTC"
    """Whose midnights part the settlement periods: as at the node that settles."""


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """All a meter is told."""

    meter: Identity
    edge: HomeEdge
    source: Source
    mqtt: Mqtt = Mqtt()
    ctt: EnergyAccounts | None = None


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """All the embedded broker is told."""

    mqtt: Mqtt = Mqtt()


Config = NodeConfig | CoordinatorConfig | MeterConfig | BrokerConfig


def http_url(http: Http) -> str:
    """Return the address people open in a browser, on the same machine if it listens on all."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(http.host, http.host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{http.port}"
