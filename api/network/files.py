"""The configuration files of a new network, as text. What goes where, and nothing is written."""

import os.path
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from access.device import Claim, Register, claim_registration
from api.network.people import PeopleKeys, battery_source, patience_minutes
from api.network.plan import Founders, NetworkPlan, NodePlace
from api.settings.layout import (
    BATTERY,
    COSIGNER_KEY,
    COSIGNER_LOCK,
    METER_KEY,
    ROOF,
    ROOF_KEY,
    Layout,
)
from api.settings.toml_text import Scalar, Section, toml_text
from tangle.accounts import NO_ADDRESS
from tangle.address import Address, address_of, encode_address
from tangle.genesis import Allocation, Genesis, GenesisIdentity, Parameters, genesis_hash
from tangle.keys import PublicKey, SigningKey

MEMBER_ALLOCATION_UEUR = 100_000_000
"""100 eEuro for each member, so that there is something to trade with."""

SETTLING_EDGE = 0
"""The first edge node settles the battery."""

_HEAD = "Written by `tanglewatt init`. Paths are relative to this file."


@dataclass(frozen=True, slots=True)
class NetworkKeys:
    """The keys of a new network, each list in the order of the plan."""

    operator: SigningKey
    coordinator_node: SigningKey
    """By which its peers know the coordinator's process."""

    coordinator: SigningKey
    """By which milestones are finalised."""

    cosigners: tuple[SigningKey, ...]
    """Further keys by which milestones are finalised, of the first edge nodes."""

    edges: tuple[SigningKey, ...]
    meters: tuple[SigningKey, ...]
    members: tuple[PublicKey, ...]
    """Of the wallets."""

    authority: SigningKey
    """By which the nodes' certificates are signed."""

    people: PeopleKeys | None = None
    """Of a demonstration."""


def make_genesis(plan: NetworkPlan, keys: NetworkKeys) -> Genesis:
    """Return the genesis of the network: its nodes, its operator, its members and their eEuro.

    The coordinator's process is an edge node among others: as such it may issue checkpoints.
    """
    nodes = [keys.coordinator_node.public, *(key.public for key in keys.edges)]
    founders = _founders(keys) if plan.founders is None else plan.founders
    identities = [*(GenesisIdentity(key, "edge") for key in nodes), *founders.identities]
    return Genesis(
        name=plan.name,
        created_at_ms=plan.created_at_ms,
        ledger_start_ms=plan.ledger_start_ms,
        parameters=Parameters(time_scale=plan.time_scale),
        coordinator_keys=tuple(sorted(key.public for key in (keys.coordinator, *keys.cosigners))),
        quorum=plan.quorum,
        identities=tuple(sorted(identities, key=lambda one: one.key)),
        allocations=tuple(sorted(founders.allocations, key=lambda one: one.address)),
    )


def _founders(keys: NetworkKeys) -> Founders:
    """Return the operator, who votes, and the members of the homes with their eEuro.

    In a demonstration a second voter, the banker and the battery's owner, who begin with nothing.
    """
    members = [GenesisIdentity(key, "member") for key in keys.members]
    voters = [GenesisIdentity(keys.operator.public, "voter")]
    if keys.people is not None:
        voters.append(GenesisIdentity(keys.people.voter.public, "voter"))
        own = (keys.people.banker, keys.people.owner)
        members += [GenesisIdentity(key.public, "member") for key in own]
    return Founders(
        (*voters, *members),
        tuple(Allocation(address_of(key), MEMBER_ALLOCATION_UEUR) for key in keys.members),
    )


def configuration_files(
    layout: Layout, plan: NetworkPlan, keys: NetworkKeys, genesis: Genesis
) -> dict[Path, str]:
    """Return the text of every TOML file, by path."""
    files = {layout.broker_config: toml_text({"mqtt": _mqtt(plan)}, f"Broker. {_HEAD}")}
    places = (plan.coordinator, *plan.edges)
    publics = [keys.coordinator_node.public, *(key.public for key in keys.edges)]
    enrolments = _enrolments(plan, keys, genesis)
    for at, place in enumerate(places):
        is_coordinator = at == 0
        file = layout.coordinator_config if is_coordinator else layout.edge_config(place.name)
        sections: dict[str, Section | Sequence[Mapping[str, Scalar]]] = {
            "node": _identity(layout, file.parent, place.name, "node.key"),
            "mesh": _mesh(places, publics, at),
            "mesh.tls": _tls(layout, file.parent, place.name),
            "http": {"host": place.host, "port": place.http_port},
            "mqtt": _mqtt(plan),
        }
        if is_coordinator:
            signing = {"key_file": "coordinator.key", "lock_file": "coordinator.lock"}
            sections["coordinator"] = signing
        elif at <= plan.cosigners:
            sections["cosigner"] = {
                "key_file": COSIGNER_KEY,
                "lock_file": COSIGNER_LOCK,
                "leader_key": keys.coordinator.public.hex(),
            }
        if keys.people is not None and not is_coordinator:
            sections["settlement"] = _settlement(plan, keys.people, keys.operator, at - 1)
        if enrolments.get(place.name):
            sections["devices"] = enrolments[place.name]
        files[file] = toml_text(sections, f"Node {place.name}. {_HEAD}")
    for at, name in enumerate(plan.homes):
        files[layout.meter_config(name)] = _meter_text(layout, plan, keys, at)
    if keys.people is not None:
        files |= _people_files(layout, plan, keys)
    return files


def _settlement(plan: NetworkPlan, people: PeopleKeys, operator: SigningKey, edge: int) -> Section:
    """Return what makes an edge node settle the homes there, and the first one the battery."""
    roofs = [name for at, name in enumerate(plan.homes) if at % len(plan.edges) == edge]
    section: Section = {
        "patience_minutes": patience_minutes(plan.time_scale),
        "shows_totals": True,
        "pv_meters": [_text(people.roofs[name]) for name in roofs if name in people.roofs],
        "issuers": [_text(operator)],
    }
    if edge != SETTLING_EDGE:
        return section
    unit = _text(people.battery)
    # the unit delegates to the node's own key, which is registered as all edge nodes are
    return {**section, "units": [{"unit": unit, "meter": unit, "key_file": "node.key"}]}


def _people_files(layout: Layout, plan: NetworkPlan, keys: NetworkKeys) -> dict[Path, str]:
    """Return the configuration of the meters of roofs, and of the battery's."""
    files: dict[Path, str] = {}
    for name in plan.roofs:
        at, folder = plan.homes.index(name), layout.home_folder(name)
        identity = {**_identity(layout, folder, f"{name}_{ROOF}", ROOF_KEY), "data_dir": ROOF}
        source: Section = {**_synthetic(layout, plan, folder, at), "measures": "roof"}
        edge = keys.edges[at % len(keys.edges)]
        files[layout.roof_config(name)] = _meter(plan, identity, edge, source)
    own = _identity(layout, layout.battery_folder, BATTERY, METER_KEY)
    battery = battery_source(len(plan.homes), _street(layout, plan))
    files[layout.battery_config] = _meter(plan, own, keys.edges[SETTLING_EDGE], battery)
    return files


def _street(layout: Layout, plan: NetworkPlan) -> Section:
    """Return where a battery learns what the homes take and give: where their meters do."""
    folder = layout.battery_folder
    if plan.source == "synthetic":
        profile = os.path.relpath(layout.profile_file, folder)
        homes = len(plan.homes)
        return {"kind": "battery", "seed": plan.seed, "homes": homes, "profile_file": profile}
    files = [os.path.relpath(layout.recording_file(name), folder) for name in plan.homes]
    return {"kind": "recorded_battery", "files": files}


def _text(key: SigningKey) -> str:
    return encode_address(address_of(key.public))


def _identity(layout: Layout, folder: Path, name: str, key_file: str) -> Section:
    up = Path(os.path.relpath(layout.root, folder))
    return {
        "name": name,
        "data_dir": "data",
        "genesis_file": str(up / layout.genesis_file.name),
        "key_file": key_file,
        "passphrase_file": str(up / layout.passphrase_file.name),
    }


def _mesh(places: Sequence[NodePlace], publics: Sequence[PublicKey], at: int) -> Section:
    """Return whom one node calls: those before it, so that each pair has one connection."""
    return {
        "listen": [_endpoint(places[at])],
        "connect": [_endpoint(place) for place in places[:at]],
        "peers": [
            {"key": public.hex(), "alias": place.name}
            for place, public in zip(places, publics, strict=True)
            if place is not places[at]
        ],
    }


def _tls(layout: Layout, folder: Path, name: str) -> dict[str, Scalar]:
    return {
        "certificate_file": layout.certificate_file(name).name,
        "authority_file": os.path.relpath(layout.authority_file, folder),
    }


def _endpoint(place: NodePlace) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"tls/{host}:{place.mesh_port}"


def _mqtt(plan: NetworkPlan) -> dict[str, Scalar]:
    return {"host": plan.broker.host, "port": plan.broker.port}


def _enrolments(
    plan: NetworkPlan, keys: NetworkKeys, genesis: Genesis
) -> dict[str, list[dict[str, Scalar]]]:
    """Return the devices that each edge node sponsors, by the node's name."""
    edge_of = {place.name: key for place, key in zip(plan.edges, keys.edges, strict=True)}
    enrolments: dict[str, list[dict[str, Scalar]]] = {}
    for place, meter, member in _devices(plan, keys):
        call = _registration(genesis, meter, member, edge_of[place.name].public)
        enrolments.setdefault(place.name, []).append(
            {
                "key": call.key.hex(),
                "owner": encode_address(Address(call.owner)),
                "role": call.role,
                "proof": call.proof.hex(),
            }
        )
    return enrolments


def _devices(
    plan: NetworkPlan, keys: NetworkKeys
) -> Iterator[tuple[NodePlace, SigningKey, PublicKey]]:
    """Yield home edge, key and owner of each meter."""
    for at, name in enumerate(plan.homes):
        place, member = plan.home_edge(at), keys.members[at]
        yield place, keys.meters[at], member
        if keys.people is not None and name in keys.people.roofs:
            yield place, keys.people.roofs[name], member
    if keys.people is not None:
        yield plan.edges[SETTLING_EDGE], keys.people.battery, keys.people.owner.public


def _registration(
    genesis: Genesis, meter: SigningKey, member: PublicKey, edge: PublicKey
) -> Register:
    owner, home = address_of(member), address_of(edge)
    assert NO_ADDRESS not in (owner, home), "a meter has an owner and a home edge"
    claim = Claim(genesis_hash(genesis), meter.public, "meter", owner, home)
    return claim_registration(claim, meter)


def _meter_text(layout: Layout, plan: NetworkPlan, keys: NetworkKeys, at: int) -> str:
    name = plan.homes[at]
    folder = layout.home_folder(name)
    edge = keys.edges[at % len(keys.edges)]
    source: Section = {"kind": "recorded", "file": layout.recording_file(name).name}
    if plan.source == "synthetic":
        source = _synthetic(layout, plan, folder, at)
    return _meter(plan, _identity(layout, folder, name, METER_KEY), edge, source)


def _synthetic(layout: Layout, plan: NetworkPlan, folder: Path, at: int) -> dict[str, Scalar]:
    profile = os.path.relpath(layout.profile_file, folder)
    return {"kind": "synthetic", "seed": plan.seed, "home": at, "profile_file": profile}


def _meter(plan: NetworkPlan, identity: Section, edge: SigningKey, source: Section) -> str:
    sections: dict[str, Section | Sequence[Mapping[str, Scalar]]] = {
        "meter": identity,
        "edge": {"key": edge.public.hex()},
        "source": source,
        "mqtt": _mqtt(plan),
    }
    return toml_text(sections, f"Meter {identity['name']}. {_HEAD}")
