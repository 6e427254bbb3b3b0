"""One command starts a real network; whatever is killed, every reading is confirmed once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api.client.polling import poll
from api.exit_codes import ExitCode
from api.processes.pid_files import read_pid_file
from api.settings.layout import BATTERY, COMMUNITY, Layout, has_network, load_network
from devices.outbox import read_outbox_state
from tangle.errors import UnavailableError
from tests.network.waiting import wait_until

NODES = ("coordinator", "edge-1", "edge-2", "edge-3")
DEADLINE_S = 240


@contextmanager
def up(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run `tanglewatt up` and end it, whatever happens to the test."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "api.processes.up_main",
        "--data-dir",
        str(folder),
        "--json",
    ]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the end and return the last line of stdout."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    return last


def verify_all_confirmed(said: dict[str, Any]) -> None:
    """Check the equality that must hold at the end of every run."""
    readings = said["readings"]
    assert readings["sent"] > 0
    assert readings["journalled"] == readings["sent"]
    assert readings["confirmed"] == dict.fromkeys(NODES, readings["sent"])
    assert readings["lost"] == 0
    assert readings["twice"] == 0
    assert said["converged"] is True
    assert len(set(said["state_roots"].values())) == 1
    assert set(said["state_roots"]) == set(NODES)


def kill(layout: Layout, name: str) -> None:
    """Send SIGKILL to one process of a running network, as soon as it has a pid."""
    record = poll(lambda: read_pid_file(layout.pid_file(name)), DEADLINE_S)
    assert record is not None, f"{name} never had a pid file"
    os.kill(record.pid, signal.SIGKILL)


def wait_for_first_readings(layout: Layout, name: str) -> None:
    """Wait until a meter has made readings, so that what is killed is killed in the middle."""
    network = poll(lambda: load_network(layout) if has_network(layout) else None, DEADLINE_S)
    assert network is not None, "no network was made"
    outbox = layout.meters(name, network)[0].outbox
    wait_until(lambda: has_measured(outbox), f"{name} measures", DEADLINE_S)


def has_measured(outbox: Path) -> bool:
    """Return whether a meter keeps word of a reading; `False` before its file is there."""
    try:
        return read_outbox_state(outbox).produced > 0
    except UnavailableError:
        return False


def test_a_run_ends_with_every_reading_confirmed_on_every_node(tmp_path: Path) -> None:
    with up(tmp_path / "net", "--for", "15", "--homes", "4") as process:
        said = result(process)

    verify_all_confirmed(said)
    assert said["milestones"] > 0
    assert said["seconds_to_first_confirmed"] > 0


def test_a_second_run_goes_on_from_the_same_data(tmp_path: Path) -> None:
    with up(tmp_path / "net", "--for", "20", "--homes", "2") as process:
        first = result(process)
    with up(tmp_path / "net", "--for", "20") as process:
        second = result(process)

    verify_all_confirmed(second)
    assert second["readings"]["sent"] > first["readings"]["sent"]
    assert second["milestones"] > first["milestones"]


def test_any_process_may_be_killed_in_the_middle(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "net")
    signing = ("--coordinators", "4", "--quorum", "3")

    with up(layout.root, "--for", "40", "--homes", "4", *signing) as process:
        wait_for_first_readings(layout, "home_01")
        for victim in (*NODES, "broker", "home_01"):
            kill(layout, victim)
            time.sleep(3)  # it comes back and the others go on: the next kill meets work
        said = result(process)

    verify_all_confirmed(said)


def test_a_recording_is_journalled_to_the_last_watt_hour(tmp_path: Path) -> None:
    homes = tmp_path / "homes"
    homes.mkdir()
    rows = [
        f"2024-03-01T{hour:02}:{minute:02}:00Z,{1_000 + 7 * at},{3 * at}"
        for at, (hour, minute) in enumerate((h, m) for h in range(1, 6) for m in (0, 15, 30, 45))
    ]
    for name in ("north", "south"):
        text = "\n".join(["interval_end,import_register_wh,export_register_wh", *rows])
        (homes / f"{name}.csv").write_text(text + "\n")

    with up(tmp_path / "net", "--homes", str(homes), "--no-people") as process:
        said = result(process)

    verify_all_confirmed(said)
    assert said["readings"]["sent"] == 2 * len(rows)
    wanted = {"import_wh": 1_000 + 7 * 19, "export_wh": 3 * 19, "equals_recording": True}
    assert said["registers"] == {"north": wanted, "south": wanted}


def test_people_produce_store_trade_and_consume_by_themselves(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "net")

    with up(layout.root, "--for", "100") as process:
        wait_for_first_readings(layout, BATTERY)
        kill(layout, COMMUNITY)
        said = result(process)

    verify_all_confirmed(said)
    figures = said["community"]
    counts = ("produced_wh", "used_wh", "charged_wh", "drawn_wh", "trades", "most_sessions")
    assert {name: figures[name] for name in counts if not figures[name] > 0} == {}
    assert figures["charged_wh"] <= figures["produced_wh"]
    assert figures["grid_wh"] <= figures["used_wh"]
    assert audit(layout) == ExitCode.OK


def audit(layout: Layout) -> int:
    """Return how the audit of a node's journal ends."""
    command = (sys.executable, "-P", "-m", "api.commands.audit_main")
    done = subprocess.run(
        [*command, "--data-dir", str(layout.root)], capture_output=True, check=False, text=True
    )
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    return done.returncode
