"""A disk that is full: the node says so and stops; with room it goes on, and nothing is lost."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from api.client.node_client import NodeClient
from api.failures import CommandError
from api.settings.layout import Layout, load_network
from api.settings.places import node_places
from api.settings.records import http_url
from devices.outbox import read_outbox_state
from tests.network.test_up import result, up, verify_all_confirmed
from tests.network.waiting import wait_until

EDGE: Final = "edge-1"
SIZE_MIB: Final = 96
"""Above the 64 MiB below which a node is not ready."""

LEFT_MIB: Final = 3
RESUMED_S: Final = 25
"""The supervisor waits ten seconds at most, then a start and what it has missed."""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """A network whose edge-1 has a small disk of its own."""
    layout = Layout(tmp_path / "net")
    command = [sys.executable, "-m", "api", "init", str(layout.root), "--homes", "2"]
    subprocess.run(command, check=True, capture_output=True)
    disk = layout.edge_folder(EDGE) / "data"
    disk.mkdir(mode=0o700, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small disk cannot be mounted here: there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield layout
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(file: Path, left_mib: int) -> None:
    """Write until the disk has `left_mib` left, or until it refuses."""
    with file.open("ab", buffering=0) as stream:
        while True:
            disk = os.statvfs(file.parent)
            if left_mib and disk.f_bavail * disk.f_frsize <= left_mib * 2**20:
                return
            try:
                stream.write(bytes(2**16 if left_mib else 2**12))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return


def failing_checks(client: NodeClient) -> dict[str, Any]:
    """Return the health checks that fail, by name; nothing if the node does not answer."""
    try:
        response = client.ask("GET", "/health")
    except CommandError:
        return {}
    checks = json.loads(response.body)["checks"]
    return {one["name"]: one for one in checks if one["status"] == "fail"}


def test_a_full_disk_stops_a_node_and_room_brings_it_back(layout: Layout) -> None:
    disk = layout.edge_folder(EDGE) / "data"
    ballast, log = disk / "ballast", layout.log_file(EDGE)

    with up(layout.root, "--for", "50") as process:
        client = _client(layout)
        wait_until(client.is_ready, "edge-1 is ready")
        wait_until(lambda: layout.outbox("home_01").exists(), "home_01 measures")

        fill(ballast, LEFT_MIB)
        wait_until(lambda: "disk" in failing_checks(client), "the health check names the disk")
        fill(ballast, 0)
        wait_until(lambda: "TW-DIR-003" in log.read_text("utf-8"), "edge-1 says why it stops")
        kept = waiting(layout)
        wait_until(lambda: waiting(layout) > kept + 2, "the meter keeps its readings")

        ballast.unlink()
        took = wait_until(client.is_ready, "edge-1 goes on", RESUMED_S)
        said = result(process)

    verify_all_confirmed(said)
    print(f"ready {took:.1f} s after there was room")  # noqa: T201


def _client(layout: Layout) -> NodeClient:
    """Return a client of edge-1."""
    (place,) = (one for one in node_places(layout, load_network(layout), {}) if one.name == EDGE)
    return NodeClient(http_url(place.http))


def waiting(layout: Layout) -> int:
    """Return how many readings the meter of edge-1 keeps."""
    state = read_outbox_state(layout.outbox("home_01"))
    return state.produced - state.receipted_through - 1
