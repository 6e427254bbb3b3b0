"""The soak in seconds: the same script, a few homes, a fast clock; and that it can fail."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from scripts.soak.confinement import Host, host
from scripts.soak.plot import plot
from scripts.soak.samples import ProcessSample, Sample
from scripts.soak.verdict import MIB, Bounds, Growth, growths, table

BOUNDS: Final = Bounds(memory_percent=5.0, disk_percent=10.0, disk_from_h=4.0)
LIMIT_S: Final = 120.0
SHORT: Final = (
    *(sys.executable, "-m", "scripts.soak"),
    *("--homes", "5", "--hours", "5", "--time-scale", "1440", "--pruning-depth", "20"),
    *("--set", "history.readings_hours=1"),
    *("--disk-from", "1", "--growth", "60", "--disk-growth", "400"),
)
"""Eighteen seconds: whether it runs at all. What grows in so short a time says nothing."""

ROOT: Final = Path(__file__).parents[2]


def samples(memory_per_hour: int = 0, disk_per_hour: int = 0, hours: int = 10) -> list[Sample]:
    """Return a day of one process whose memory and journal grow by so many MiB an hour."""
    return [
        Sample(
            at / 6,
            {"edge": ProcessSample((100 + memory_per_hour * at // 6) * MIB, 80 * MIB, 20, 4)},
            {"edge journal": (50 + disk_per_hour * at // 6) * MIB, "logs": at},
            90 * MIB,
            at,
            at,
            at,
        )
        for at in range(6 * hours)
    ]


def failed(found: list[Growth]) -> set[str]:
    return {one.name for one in found if not one.holds}


def test_what_stands_still_is_passed() -> None:
    assert failed(growths(samples(), BOUNDS)) == set()


def test_memory_that_grows_is_not_passed() -> None:
    found = growths(samples(memory_per_hour=1), BOUNDS)

    assert failed(found) == {"edge RSS"}
    assert "| edge RSS | 101.0 MiB | 109.0 MiB | 109.0 MiB | +7.9 % | < 5 % |" in table(found)


def test_a_disk_that_grows_is_not_passed() -> None:
    assert failed(growths(samples(disk_per_hour=2), BOUNDS)) == {"edge journal"}


def test_growth_before_pruning_has_begun_does_not_count() -> None:
    early = samples(disk_per_hour=9, hours=4)
    late = [
        Sample(4 + one.hours, one.processes, early[-1].disk, 0, 0, 0, 0) for one in samples(hours=4)
    ]

    assert failed(growths([*early, *late], BOUNDS)) == set()


def test_a_run_that_is_too_short_is_not_passed() -> None:
    assert failed(growths(samples(hours=1), BOUNDS)) >= {"edge RSS", "edge journal"}
    assert growths([], BOUNDS) == []


def test_a_plot_is_a_drawing_of_its_lines() -> None:
    drawn = plot("a < b", "MiB", {"one": [(0, 1), (24, 93)], "none": []})

    root = ElementTree.fromstring(drawn)
    (first, none) = root.findall("{*}polyline")
    assert first.attrib["points"].split() == ["60.0,257.7", "660.0,46.1"]
    assert none.attrib["points"] == ""
    assert [text.text for text in root.findall("{*}text")][:2] == ["a < b", "0"]


def test_where_no_group_may_be_made_each_process_is_limited_by_itself() -> None:
    (core, *_) = os.sched_getaffinity(0)
    small = Host(512 * MIB, core, None, is_unified=False)
    code = (
        "import os, resource; "
        "print(resource.getrlimit(resource.RLIMIT_DATA)[0], *os.sched_getaffinity(0))"
    )

    said = subprocess.check_output(small.command((sys.executable, "-c", code)), timeout=LIMIT_S)

    assert list(map(int, said.split())) == [512 * MIB, core]
    assert (small.used_bytes(), small.peak_bytes(), small.kills()) == (None, None, None)
    assert "RLIMIT_DATA" in small.kind


def test_the_processes_of_a_host_are_under_its_limit_and_it_leaves_nothing() -> None:
    with host(64 * MIB) as small:
        if small.group is None:
            pytest.skip(f"no control group here: {small.kind}")
        hungry = (sys.executable, "-c", "len(b'x' * 10**9)")
        done = subprocess.run(small.command(hungry), timeout=LIMIT_S, check=False)
        kills = small.kills()

    assert done.returncode == -signal.SIGKILL
    assert kills == 1
    assert not small.group.exists()


@pytest.mark.timeout(LIMIT_S)
def test_a_small_community_soaks_for_seconds(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SHORT, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = (tmp_path / "out/report.md").read_text("utf-8")
    assert "0 lost, 0 twice" in report
    assert "All nodes agree." in report
    taken = json.loads((tmp_path / "out/samples.json").read_text("ascii"))
    assert {"broker", "coordinator", "edge-1", "meters"} == taken[-1]["processes"].keys()
    assert taken[-1]["confirmed"] > 0
    for name in ("memory", "disk"):
        ElementTree.parse(tmp_path / f"out/{name}.svg")
