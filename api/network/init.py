"""Writes a new network into a data folder: keys, genesis, one TOML file for each process.

Everything is written before `network.json` is, so a folder that has it is whole. A run that was
cut short leaves `.unfinished`, and the next one clears away what it made.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.network.files import NetworkKeys, configuration_files, make_genesis
from api.network.people import PeopleKeys
from api.network.plan import NetworkPlan, Wishes
from api.settings.genesis_file import genesis_text, load_genesis
from api.settings.layout import (
    BANKER,
    COORDINATOR,
    COSIGNER_KEY,
    COSIGNER_LOCK,
    METER_KEY,
    OWNER,
    ROOF,
    ROOF_KEY,
    VOTER,
    Layout,
    NetworkFile,
    load_network,
)
from api.settings.private_files import (
    PRIVATE,
    create_file,
    create_folder,
    draft_of,
    not_writable,
)
from api.settings.wallet_file import create_wallet
from coordinator.lock import encode_lock, first_lock
from devices.sources.recorded import MAX_RECORDING_SIZE, Recording, parse_recording
from edge.ground.key_file import Cost, write_key_file
from edge.mesh.certificates import SERIAL_SIZE, issue_authority, issue_certificate
from tangle.codec import encode
from tangle.errors import InvalidRecordingError
from tangle.genesis import Genesis, network_id
from tangle.keys import SEED_SIZE, SigningKey
from tangle.seeds import ENTROPY_SIZE

PASSPHRASE_SIZE: Final = 32
QUICK: Final = Cost(passes=1, memory_kib=1_024)
"""Enough under a passphrase of 256 random bits, which nobody guesses at any price; it keeps the
start of a dozen processes on one small machine short."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What `create_network` needs of the world: chance, and the one slow computation."""

    entropy: Callable[[int], bytes]
    """Returns so many random bytes."""

    write_profile: Callable[[Path], None]
    """Computes the household profile into a file."""


def create_network(
    layout: Layout, plan: NetworkPlan, recordings: Mapping[str, bytes], tools: Tools
) -> NetworkFile:
    """Write the network that `plan` says.

    Args:
        layout: An empty folder, or none yet, or one where a run was cut short.
        plan: Names, hosts, ports, clock.
        recordings: Content of each home's recording; empty for synthetic homes.
        tools: Chance, and the household profile.

    Raises:
        CommandError: The folder holds something else, or cannot be written.
    """
    _prepare_folder(layout)
    passphrase = tools.entropy(PASSPHRASE_SIZE).hex().encode("ascii")
    create_file(layout.passphrase_file, passphrase + b"\n", PRIVATE)
    for folder in _folders(layout, plan):
        create_folder(folder)
    keys = _make_keys(layout, plan, passphrase, tools.entropy)
    genesis = make_genesis(plan, keys)
    create_file(layout.genesis_bytes_file, encode(genesis))
    create_file(layout.genesis_file, genesis_text(genesis).encode("utf-8"))
    cosigners = [layout.edge_folder(place.name) for place in plan.edges[: plan.cosigners]]
    locks = [layout.coordinator_folder / "coordinator.lock"]
    for lock_file in (*locks, *(folder / COSIGNER_LOCK for folder in cosigners)):
        create_file(lock_file, encode_lock(first_lock(genesis)), PRIVATE)
    for file, text in configuration_files(layout, plan, keys, genesis).items():
        create_file(file, text.encode("utf-8"))
    for file, content in _certificates(layout, plan, keys, genesis, tools.entropy).items():
        create_file(file, content)
    for name, content in recordings.items():
        create_file(layout.recording_file(name), content)
    if plan.source == "synthetic":
        tools.write_profile(layout.profile_file)
    network = NetworkFile(
        schema=1,
        name=plan.name,
        created_at_ms=plan.created_at_ms,
        time_scale=plan.time_scale,
        source=plan.source,
        edges=tuple(place.name for place in plan.edges),
        homes=plan.homes,
        has_people=plan.has_people,
        roofs=plan.roofs,
    )
    create_file(layout.network_file, msgspec.json.format(msgspec.json.encode(network)))
    layout.unfinished_file.unlink()
    return network


def refuse_foreign_folder(layout: Layout) -> None:
    """Check that the folder is empty, not there yet, or ours. Raises `CommandError`."""
    if layout.network_file.exists() or layout.unfinished_file.exists():
        return
    entries = _entries(layout)
    if entries:
        raise CommandError(
            Failure(
                FailureCode.FOREIGN_FOLDER,
                ExitCode.BAD_CONFIGURATION,
                f"{layout.root} is not empty and holds no network",
                f"found {', '.join(entry.name for entry in entries[:5])}",
                "choose an empty folder, or one that does not exist yet",
            )
        )


def _prepare_folder(layout: Layout) -> None:
    """Make the folder ready to be filled; what a run that was cut short left is cleared away."""
    create_folder(layout.root)
    refuse_foreign_folder(layout)
    if not layout.unfinished_file.exists():
        create_file(layout.unfinished_file, b"init was cut short; run it again\n")
    try:
        for entry in _entries(layout):
            _remove(entry)
    except OSError as error:
        raise not_writable(layout.root, error) from error


def _entries(layout: Layout) -> list[Path]:
    """Return what lies in the folder beside the lock and the note that it is unfinished."""
    try:
        unfinished = layout.unfinished_file
        own = (layout.lock_file, unfinished, draft_of(unfinished))
        return sorted(entry for entry in layout.root.iterdir() if entry not in own)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise not_writable(layout.root, error) from error


def existing_network(layout: Layout, wishes: Wishes) -> NetworkFile:
    """Return the network of the folder if it is the one asked for. Raises `CommandError`."""
    network = load_network(layout)
    asked: list[tuple[str, object, object]] = [
        ("--edges", wishes.edges, len(network.edges)),
        ("--homes", wishes.homes, len(network.homes)),
        ("--time-scale", wishes.time_scale, network.time_scale),
        ("--name", wishes.name, network.name),
        ("--people" if wishes.people else "--no-people", wishes.people, network.has_people),
    ]
    if wishes.coordinators is not None or wishes.quorum is not None:
        genesis = load_genesis(layout.genesis_file)
        asked.append(("--coordinators", wishes.coordinators, len(genesis.coordinator_keys)))
        asked.append(("--quorum", wishes.quorum, genesis.quorum))
    if wishes.homes is not None:
        asked.append(("--homes N", "synthetic", network.source))
    if wishes.recordings is not None:
        given = ", ".join(sorted(wishes.recordings))
        asked.append(("--homes DIR", "recorded", network.source))
        asked.append(("--homes DIR", given, ", ".join(network.homes)))
    for option, wish, have in asked:
        if wish is not None and wish != have:
            raise CommandError(
                Failure(
                    FailureCode.OTHER_PLAN,
                    ExitCode.BAD_CONFIGURATION,
                    f"{option} asks for {wish}, the network in {layout.root} has {have}",
                    "what genesis and configuration say is not changed afterwards",
                    f"leave out {option}, or make another network with another --data-dir",
                )
            )
    return network


def read_recordings(folder: Path) -> dict[str, bytes]:
    """Return the content of every CSV file in `folder`, by name without the ending.

    Raises:
        CommandError: The folder or a file cannot be read, or there is none.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".csv")
        contents = {file.stem: file.read_bytes() for file in files}
    except OSError as error:
        raise _bad_recording(str(folder), error.strerror or str(error)) from error
    if not contents:
        raise _bad_recording(str(folder), "there is no .csv file in it")
    return contents


def parse_recordings(contents: Mapping[str, bytes]) -> dict[str, Recording]:
    """Return the recordings of all homes. Raises `CommandError` that names each wrong row."""
    recordings: dict[str, Recording] = {}
    for name, content in contents.items():
        try:
            if len(content) > MAX_RECORDING_SIZE:
                raise _bad_recording(f"{name}.csv", f"more than {MAX_RECORDING_SIZE} bytes")
            recordings[name] = parse_recording(content.decode("utf-8"))
        except (UnicodeDecodeError, InvalidRecordingError) as error:
            raise _bad_recording(f"{name}.csv", str(error)) from error
    return recordings


def write_profile(file: Path) -> None:
    """Compute the household profile in a process of its own: no other needs its libraries.

    Raises:
        CommandError: It failed; says what it said.
    """
    command = [sys.executable, "-P", "-m", "api.processes.profile_main", str(file)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode != ExitCode.OK:
        last = " | ".join(done.stderr.splitlines()[-3:])
        raise CommandError(
            Failure(
                FailureCode.DID_NOT_START,
                ExitCode.FAILED,
                "the household profile of the synthetic homes could not be computed",
                last,
                "play recordings instead: --homes DIR",
            )
        )


def _folders(layout: Layout, plan: NetworkPlan) -> list[Path]:
    owners = [
        layout.coordinator_folder,
        *(layout.edge_folder(place.name) for place in plan.edges),
        *(layout.home_folder(name) for name in plan.homes),
    ]
    data = [folder / "data" for folder in owners]
    data += [layout.home_folder(name) / ROOF for name in plan.roofs]
    if plan.has_people:
        data += [layout.people_folder, layout.battery_folder / "data"]
    return [*data, layout.broker_config.parent, layout.logs, layout.run]


def _make_keys(
    layout: Layout, plan: NetworkPlan, passphrase: bytes, entropy: Callable[[int], bytes]
) -> NetworkKeys:
    """Make every key, each in its file before anything names it."""

    def made(file: Path) -> SigningKey:
        key = SigningKey(entropy(SEED_SIZE))
        write_key_file(file, key, passphrase, QUICK)
        return key

    return NetworkKeys(
        operator=made(layout.operator_key_file),
        coordinator_node=made(layout.coordinator_folder / "node.key"),
        coordinator=made(layout.coordinator_folder / "coordinator.key"),
        cosigners=tuple(
            made(layout.edge_folder(place.name) / COSIGNER_KEY)
            for place in plan.edges[: plan.cosigners]
        ),
        edges=tuple(made(layout.edge_folder(place.name) / "node.key") for place in plan.edges),
        meters=tuple(made(layout.home_folder(name) / METER_KEY) for name in plan.homes),
        members=tuple(
            create_wallet(layout.wallet_file(name), entropy(ENTROPY_SIZE), passphrase, QUICK)
            for name in plan.homes
        ),
        authority=made(layout.authority_key_file),
        people=_make_people(layout, plan, made) if plan.has_people else None,
    )


def _make_people(
    layout: Layout, plan: NetworkPlan, made: Callable[[Path], SigningKey]
) -> PeopleKeys:
    return PeopleKeys(
        voter=made(layout.person_key_file(VOTER)),
        banker=made(layout.person_key_file(BANKER)),
        owner=made(layout.person_key_file(OWNER)),
        battery=made(layout.battery_folder / METER_KEY),
        roofs={name: made(layout.home_folder(name) / ROOF_KEY) for name in plan.roofs},
    )


def _certificates(
    layout: Layout,
    plan: NetworkPlan,
    keys: NetworkKeys,
    genesis: Genesis,
    entropy: Callable[[int], bytes],
) -> dict[Path, bytes]:
    """Return the certificates of the authority and of all nodes, by path."""
    now_ms, network = plan.created_at_ms, network_id(genesis)
    authority = issue_authority(keys.authority, network, now_ms, entropy(SERIAL_SIZE))
    publics = {COORDINATOR: keys.coordinator_node.public}
    publics |= {place.name: key.public for place, key in zip(plan.edges, keys.edges, strict=True)}
    nodes = {
        layout.certificate_file(name): issue_certificate(
            keys.authority, authority, public, now_ms, entropy(SERIAL_SIZE)
        )
        for name, public in publics.items()
    }
    return {layout.authority_file: authority, **nodes}


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _bad_recording(name: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_RECORDING,
            ExitCode.BAD_CONFIGURATION,
            f"{name} cannot stand in for meters",
            why.replace("\n", "; "),
            "a recording is CSV with interval_end,import_register_wh,export_register_wh",
        )
    )
