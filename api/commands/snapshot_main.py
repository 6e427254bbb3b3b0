"""The commands `snapshot write`, `inspect`, `verify`, `load`.

`python -m api.commands.snapshot_main`.
"""

import http.client
import time
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from api.commands.node_file import load_node_config
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.genesis_file import load_genesis
from api.settings.private_files import create_folder
from api.terminal.options import AsJson, ConfigFile, Settings, add_command, ending, typer_app
from api.terminal.talk import put, put_json, say
from edge.joining.snapshots import (
    FOLDER,
    latest_full,
    read_snapshot,
    take_snapshot,
    unpack_snapshot,
    write_snapshot,
)
from edge.journal.journal import Journal
from tangle.errors import InvalidSnapshotError
from tangle.genesis import network_id
from tangle.snapshot import (
    MAX_SNAPSHOT_SIZE,
    Snapshot,
    delta_snapshot,
    merge,
    start_of,
    verify_snapshot,
)

FETCH_TIMEOUT_S: Final = 30.0
LATEST_PATH: Final = "/api/v1/snapshots/latest"

SnapshotPath = Annotated[Path, typer.Argument(metavar="FILE", help="Snapshot file.")]
Source = Annotated[str, typer.Argument(metavar="FILE|URL", help="Snapshot, or a node's http://….")]
GenesisFile = Annotated[Path, typer.Option("--genesis", metavar="FILE", help="genesis.json")]
Base = Annotated[
    Path | None,
    typer.Option("--base", metavar="FILE", help="Full snapshot that a delta goes on from."),
]
AsDelta = Annotated[
    bool, typer.Option("--delta", help="Only what changed since the newest full snapshot.")
]

app = typer_app("States of the ledger to start from.")


def write(
    *,
    config: ConfigFile,
    set_: Settings = None,
    delta: AsDelta = False,
    as_json: AsJson = False,
) -> None:
    """Write a snapshot of a node's last milestone, whether the node runs or not.

    Examples:
      tanglewatt snapshot write --config edge-1/node.toml
      tanglewatt snapshot write --config edge-1/node.toml --delta
    """
    with ending(as_json=as_json):
        record = load_node_config(config, set_)
        genesis = load_genesis(record.node.genesis_file)
        data_dir = record.node.data_dir
        depth = genesis.parameters.reference_depth
        snapshot = take_snapshot(data_dir, network_id(genesis), depth)
        if snapshot is None:
            raise _nothing(f"{data_dir} holds no milestone yet", "let the node sync first")
        verify_snapshot(snapshot, genesis)  # a damaged journal must not become a snapshot
        if delta:
            snapshot = delta_snapshot(_newest(data_dir / FOLDER), snapshot)
        written = write_snapshot(data_dir / FOLDER, snapshot)
        say(f"✔ milestone {snapshot.header.index}: {written.size_bytes} bytes")
        if as_json:
            put_json(
                {"file": str(written.path), "hash": written.file_hash.hex(), **_plain(snapshot)}
            )
        else:
            put(str(written.path))


def inspect(*, file: SnapshotPath, as_json: AsJson = False) -> None:
    """Show what a snapshot says of itself. Only its checksum is checked.

    Examples:
      tanglewatt snapshot inspect full-000000000300.twsnap
    """
    with ending(as_json=as_json):
        plain = _plain(read_snapshot(file))
        if as_json:
            put_json(plain)
        else:
            for name, value in plain.items():
                put(f"{name:<14} {value}")


def verify(
    *, file: SnapshotPath, genesis: GenesisFile, base: Base = None, as_json: AsJson = False
) -> None:
    """Check a snapshot against the genesis alone, without a node.

    Examples:
      tanglewatt snapshot verify full-000000000300.twsnap --genesis genesis.json
      tanglewatt snapshot verify delta-….twsnap --base full-….twsnap --genesis genesis.json
    """
    with ending(as_json=as_json):
        snapshot = _merged(read_snapshot(file), base)
        milestones = verify_snapshot(snapshot, load_genesis(genesis))
        say(f"✔ {len(snapshot.rows)} rows and {len(milestones)} milestones are as signed")
        if as_json:
            put_json({"valid": True, **_plain(snapshot)})


def load(
    *,
    source: Source,
    config: ConfigFile,
    set_: Settings = None,
    base: Base = None,
    as_json: AsJson = False,
) -> None:
    """Let a node that holds nothing yet start from a snapshot. It must not run meanwhile.

    Examples:
      tanglewatt snapshot load full-000000000300.twsnap --config edge-4/node.toml
      tanglewatt snapshot load http://127.0.0.1:8080 --config edge-4/node.toml
    """
    with ending(as_json=as_json):
        began = time.monotonic()
        record = load_node_config(config, set_)
        genesis = load_genesis(record.node.genesis_file)
        start = start_of(_merged(_read(source), base), genesis)
        create_folder(record.node.data_dir)
        with Journal(record.node.data_dir, network_id(genesis)) as journal:
            journal.start_from(genesis, start)
        seconds = time.monotonic() - began
        say(f"✔ starts from milestone {start.index}: {len(start.rows)} rows in {seconds:.1f} s")
        if as_json:
            put_json(
                {
                    "index": start.index,
                    "milestone_id": start.milestone_id.hex(),
                    "rows": len(start.rows),
                }
            )


def _read(source: str) -> Snapshot:
    if "://" not in source:
        return read_snapshot(Path(source).expanduser())
    try:
        return unpack_snapshot(_fetched(source))
    except InvalidSnapshotError as error:
        raise InvalidSnapshotError(f"{source}: {error}") from error


def _fetched(url: str) -> bytes:
    """Return the body that an address answers with. Raises `CommandError`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # a bracket that is not closed, a port that is none
        raise _no_source(url) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_source(url)
    kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
    path = parts.path if parts.path.strip("/") else LATEST_PATH
    try:
        connection = kind(parts.hostname, port, timeout=FETCH_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            data = response.read(MAX_SNAPSHOT_SIZE + 1)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(
            Failure(
                FailureCode.UNREACHABLE,
                ExitCode.NOT_RUNNING,
                f"{url} does not answer",
                str(error) or type(error).__name__,
                "see that the node runs: tanglewatt status",
            )
        ) from error
    if response.status != http.client.OK:
        raise _nothing(
            f"{url} answers {response.status}", data[:200].decode("utf-8", "replace").strip()
        )
    return data


def _no_source(url: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            f"{url!r} is neither a file nor the address of a node",
            "it must be a path, http://HOST:PORT or https://HOST",
            "see the URLs that `tanglewatt status` prints",
        )
    )


def _merged(snapshot: Snapshot, base: Path | None) -> Snapshot:
    return snapshot if base is None else merge(read_snapshot(base), snapshot)


def _newest(folder: Path) -> Snapshot:
    path = latest_full(folder)
    if path is None:
        raise _nothing(f"{folder} holds no full snapshot", "a delta goes on from one")
    return read_snapshot(path)


def _nothing(what: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.NOT_FOUND,
            ExitCode.NOT_FOUND,
            what,
            why,
            "write one with: tanglewatt snapshot write --config node.toml",
        )
    )


def _plain(snapshot: Snapshot) -> dict[str, object]:
    header = snapshot.header
    return {
        "kind": header.kind,
        "index": header.index,
        "milestone_id": header.milestone_id.hex(),
        "timestamp_ms": header.timestamp_ms,
        "state_root": header.state_root.hex(),
        "network": header.network.hex(),
        "base_index": header.base_index,
        "rows": len(snapshot.rows),
        "removed": len(snapshot.removed),
        "milestones": len(snapshot.cones),
        "entry_points": sum(len(cone.ids) for cone in snapshot.cones),
    }


add_command(app, "write", write)
add_command(app, "inspect", inspect)
add_command(app, "verify", verify)
add_command(app, "load", load)

if __name__ == "__main__":
    app(prog_name="tanglewatt snapshot")
