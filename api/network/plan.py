"""What `init` shall make: names, hosts, ports, clock. Decided here, written in `init.py`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.network.people import homes_with_roofs, summer_ms
from api.settings.layout import BROKER, COORDINATOR, MAX_EDGES, MAX_HOMES, Source
from api.settings.records import DEFAULT_HTTP_PORT, DEFAULT_MESH_PORT, DEFAULT_MQTT_PORT, LOOPBACK
from tangle.genesis import Allocation, GenesisIdentity
from tangle.transaction import MAX_COORDINATOR_KEYS

DAY_MS: Final = 86_400_000
DEFAULT_EDGES: Final = 3
DEFAULT_HOMES: Final = 10
DEFAULT_NAME: Final = "tanglewatt-demo"
DEFAULT_SEED: Final = 1
RECORDED_TIME_SCALE: Final = 14_400
"""28 days in under three minutes."""

SYNTHETIC_TIME_SCALE: Final = 1_800
"""A quarter hour every half second."""

_HOME_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where one node listens."""

    name: str
    host: str
    mesh_port: int
    http_port: int


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """Where the broker listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Founders:
    """Who a network begins with, beside its nodes."""

    identities: tuple[GenesisIdentity, ...]
    allocations: tuple[Allocation, ...]


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """All that is decided before the first key is made."""

    name: str
    created_at_ms: int
    ledger_start_ms: int
    time_scale: int
    source: Source
    seed: int
    coordinator: NodePlace
    edges: tuple[NodePlace, ...]
    broker: BrokerPlace
    homes: tuple[str, ...]
    cosigners: int
    """The first so many edge nodes also sign milestones."""

    quorum: int
    """Signatures that a milestone needs, the coordinator's among them."""

    founders: Founders | None = None
    """Who is registered in place of the operator and the members of the homes; `None` for these."""

    has_people: bool = False
    """Whether people who act by themselves are made, and a battery that they share."""

    roofs: tuple[str, ...] = ()
    """Homes whose roof has a meter of its own."""

    def home_edge(self, home: int) -> NodePlace:
        """Return the edge node that takes the readings of home number `home`: in turn."""
        return self.edges[home % len(self.edges)]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; `None` is no wish."""

    edges: int | None = None
    homes: int | None = None
    recordings: Mapping[str, int] | None = None
    """Start of the first interval, ledger ms, by name of the home."""

    time_scale: int | None = None
    name: str | None = None
    seed: int | None = None
    base_port: int | None = None
    hosts: Mapping[str, str] | None = None
    """Host by name of the node, or of the broker: for real hosts."""

    coordinators: int | None = None
    quorum: int | None = None
    people: bool | None = None
    """Of a demonstration; no wish is none of them."""


def ports_needed(wishes: Wishes) -> int:
    """Return how many ports the network takes: two a node and one for the broker."""
    return 2 * (1 + (DEFAULT_EDGES if wishes.edges is None else wishes.edges)) + 1


def make_plan(wishes: Wishes, now_ms: int, ports: Sequence[int]) -> NetworkPlan:
    """Return the network to make.

    Args:
        wishes: What was asked for.
        now_ms: Wall clock.
        ports: As many free ports as `ports_needed`, for what runs on this machine.

    Raises:
        CommandError: A number out of range, or a name that cannot be one.
    """
    count = DEFAULT_EDGES if wishes.edges is None else wishes.edges
    _require(1 <= count <= MAX_EDGES, f"--edges {count}", f"from 1 to {MAX_EDGES}")
    names = (COORDINATOR, *(f"edge-{number}" for number in range(1, count + 1)))
    hosts = dict(wishes.hosts or {})
    for name in hosts:
        known = ", ".join((*names, BROKER))
        _require(name in (*names, BROKER), f"--host {name}=…", f"a host belongs to one of {known}")
    homes = _homes(wishes)
    coordinators, quorum = _signing(wishes, count)
    recordings = wishes.recordings
    scale = RECORDED_TIME_SCALE if recordings is not None else SYNTHETIC_TIME_SCALE
    has_people, seed = bool(wishes.people), DEFAULT_SEED if wishes.seed is None else wishes.seed
    start_ms = summer_ms(now_ms) if has_people else now_ms - now_ms % DAY_MS
    if recordings:
        start_ms = min(recordings.values())
    places = [_place(name, hosts, ports[2 * at : 2 * at + 2]) for at, name in enumerate(names)]
    return NetworkPlan(
        name=wishes.name or DEFAULT_NAME,
        created_at_ms=now_ms,
        ledger_start_ms=start_ms,
        time_scale=scale if wishes.time_scale is None else wishes.time_scale,
        source="synthetic" if recordings is None else "recorded",
        seed=seed,
        coordinator=places[0],
        edges=tuple(places[1:]),
        broker=_broker_place(hosts, ports[-1]),
        homes=homes,
        cosigners=coordinators - 1,
        quorum=quorum,
        has_people=has_people,
        roofs=homes_with_roofs(homes, seed) if has_people and recordings is None else (),
    )


def _signing(wishes: Wishes, edges: int) -> tuple[int, int]:
    """Return how many coordinator keys there are, and how many must sign."""
    count = 1 if wishes.coordinators is None else wishes.coordinators
    most = min(MAX_COORDINATOR_KEYS, edges + 1)
    rule = f"from 1 to {most}: the coordinator has one, each edge node may have one more"
    _require(1 <= count <= most, f"--coordinators {count}", rule)
    quorum = count // 2 + 1 if wishes.quorum is None else wishes.quorum
    rule = f"from {count // 2 + 1} to {count}: more than half of {count} keys"
    _require(count < 2 * quorum <= 2 * count, f"--quorum {quorum}", rule)
    return count, quorum


def _homes(wishes: Wishes) -> tuple[str, ...]:
    if wishes.recordings is not None:
        names = tuple(sorted(wishes.recordings))
        for name in names:
            rule = "a file's name, which becomes the home's, has letters, digits, . _ - and no more"
            _require(_HOME_NAME.fullmatch(name) is not None, f"recording {name!r}", rule)
        _require(len(names) > 0, "--homes DIR", "the folder must hold at least one .csv file")
    else:
        count = DEFAULT_HOMES if wishes.homes is None else wishes.homes
        _require(1 <= count <= MAX_HOMES, f"--homes {count}", f"from 1 to {MAX_HOMES}")
        names = tuple(f"home_{number:02d}" for number in range(1, count + 1))
    _require(len(names) <= MAX_HOMES, f"{len(names)} homes", f"at most {MAX_HOMES}")
    return names


def _place(name: str, hosts: Mapping[str, str], ports: Sequence[int]) -> NodePlace:
    """Return where a node listens: on a host of its own at the usual ports, else here."""
    if name in hosts:
        return NodePlace(name, hosts[name], DEFAULT_MESH_PORT, DEFAULT_HTTP_PORT)
    return NodePlace(name, LOOPBACK, *ports)


def _broker_place(hosts: Mapping[str, str], port: int) -> BrokerPlace:
    if BROKER in hosts:
        return BrokerPlace(hosts[BROKER], DEFAULT_MQTT_PORT)
    return BrokerPlace(LOOPBACK, port)


def _require(holds: bool, what: str, rule: str) -> None:  # noqa: FBT001 — a condition, not a mode
    if not holds:
        raise CommandError(
            Failure(
                FailureCode.BAD_ARGUMENT, ExitCode.USAGE, what, rule, "see `tanglewatt init --help`"
            )
        )
