import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM

import msgspec
import pytest

from api.processes.leftovers import stop_leftovers, wait_gone
from api.processes.log_files import rotate, tail
from api.processes.pid_files import (
    FolderLock,
    ProcessMark,
    is_alive,
    mark_of,
    read_pid_file,
    send,
    write_pid_file,
)

STUBBORN = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n"
)


def child(code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def own() -> ProcessMark:
    mark = mark_of(os.getpid())
    assert mark is not None
    return mark


def test_this_process_runs(own: ProcessMark) -> None:
    assert is_alive(own)
    assert own.pid == os.getpid()


def test_a_pid_that_was_given_to_another_process_is_not_the_one_noted(own: ProcessMark) -> None:
    earlier = ProcessMark(own.pid, own.start_ticks - 1, own.boot_id)
    other_boot = ProcessMark(own.pid, own.start_ticks, "other")

    assert not is_alive(earlier)
    assert not is_alive(other_boot)
    assert not send(earlier, SIGKILL)


def test_a_process_that_ended_is_gone_even_before_it_is_reaped() -> None:
    process = child("print(1)")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert mark_of(process.pid) is None
    process.communicate()
    assert mark_of(process.pid) is None


def test_a_pid_file_says_who_runs(tmp_path: Path, own: ProcessMark) -> None:
    write_pid_file(tmp_path / "x.pid", os.getpid())

    assert read_pid_file(tmp_path / "x.pid") == own


def test_no_pid_file_is_written_for_what_has_ended(tmp_path: Path) -> None:
    process = child("print(1)")
    process.communicate()

    write_pid_file(tmp_path / "x.pid", process.pid)

    assert not (tmp_path / "x.pid").exists()


@pytest.mark.parametrize("content", [b"", b"123", b"{", b'{"pid": 1}'])
def test_a_torn_pid_file_is_no_process(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pid").write_bytes(content)

    assert read_pid_file(tmp_path / "x.pid") is None


def test_a_stale_pid_file_is_no_process(tmp_path: Path, own: ProcessMark) -> None:
    stale = ProcessMark(own.pid, own.start_ticks + 1, own.boot_id)
    (tmp_path / "x.pid").write_bytes(msgspec.json.encode(stale))

    assert read_pid_file(tmp_path / "x.pid") is None
    assert stop_leftovers([tmp_path / "x.pid"], 1.0) == []


def test_a_folder_is_locked_once(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path / "lock"),
        pytest.raises(BlockingIOError),
        FolderLock(tmp_path / "lock"),
    ):
        pass

    with FolderLock(tmp_path / "lock"):
        pass


def test_what_a_killed_supervisor_left_behind_is_stopped(tmp_path: Path) -> None:
    process = child("import time; print(1, flush=True); time.sleep(60)")
    write_pid_file(tmp_path / "edge-1.pid", process.pid)

    assert stop_leftovers([tmp_path / "edge-1.pid", tmp_path / "none.pid"], 5.0) == ["edge-1"]
    process.communicate()
    assert process.returncode == -SIGTERM
    assert not (tmp_path / "edge-1.pid").exists()


def test_what_does_not_heed_a_signal_is_killed(tmp_path: Path) -> None:
    process = child(STUBBORN)
    write_pid_file(tmp_path / "edge-1.pid", process.pid)

    assert stop_leftovers([tmp_path / "edge-1.pid"], 0.1) == ["edge-1"]
    process.communicate()
    assert process.returncode == -SIGKILL


def test_waiting_for_what_stays_ends(own: ProcessMark) -> None:
    waited: list[float] = []

    assert not wait_gone([own], 1.0, waited.append)
    assert 1.0 <= sum(waited) <= 1.1


def test_a_log_within_its_bound_stays(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("short")

    assert not rotate(log, 5)
    assert not rotate(tmp_path / "none.log")
    assert log.read_text() == "short"


def test_a_log_beyond_its_bound_is_moved_aside_while_a_child_appends(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("ab", buffering=0) as held_by_child:
        held_by_child.write(b"oldest" + b"x" * 10)

        assert rotate(log, 10)
        held_by_child.write(b"new")

    assert log.read_bytes() == b"new"
    assert (tmp_path / "x.log.1").read_bytes() == b"x" * 10  # the newest, within the bound


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {number}\n\n" for number in range(2_000)))

    assert tail(log) == "line 1995 | line 1996 | line 1997 | line 1998 | line 1999"
    assert tail(tmp_path / "none.log") == ""
