"""Ctrl-C at any moment: without a word while a command loads, in words once it is at work."""

import os
import signal
import subprocess
import sys
from pathlib import Path

LOADING = "print('here', flush=True)\nimport time\ntime.sleep(60)\n"
WORKING = """
import time
from api.terminal.options import ending, run_single

def work() -> None:
    "Work until interrupted."
    with ending():
        print("here", flush=True)
        time.sleep(60)

run_single(work, "work")
"""


def interrupted(folder: Path, source: str) -> tuple[int, str]:
    """Run a module as `tanglewatt` does, interrupt it; return how it ended and what it said."""
    (folder / "slow_module.py").write_text(source)
    path = os.pathsep.join([str(folder), str(Path.cwd())])
    process = subprocess.Popen(
        [sys.executable, "-m", "api.starting", "slow_module"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_a_command_that_still_loads_ends_without_a_word(tmp_path: Path) -> None:
    assert interrupted(tmp_path, LOADING) == (-signal.SIGINT, "")


def test_a_command_at_work_says_that_it_was_interrupted(tmp_path: Path) -> None:
    assert interrupted(tmp_path, WORKING) == (130, "interrupted\n")


def test_arguments_reach_the_module(tmp_path: Path) -> None:
    up = [sys.executable, "-m", "api.starting", "api.processes.up_main"]
    command = [*up, "--homes", "-1", "--data-dir", str(tmp_path / "net")]

    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)

    assert done.returncode == 2
    assert "--homes -1" in done.stderr
    assert "from 1 to" in done.stderr
