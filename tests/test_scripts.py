"""What measures still runs: each script once, with little to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from api.network.ports import free_ports

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("measure_catch_up", ("--transactions", "600", "--mesh"), "caught up to milestone"),
        ("measure_join", ("--rows", "500"), "joined after"),
    ],
)
def test_a_script_that_measures_runs(script: str, arguments: tuple[str, ...], says: str) -> None:
    ports = [str(port) for port in free_ports(1, "127.0.0.1")] if "--mesh" in arguments else []

    done = subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", *arguments, *ports],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    assert says in done.stdout
