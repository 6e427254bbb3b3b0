import dataclasses
from typing import Any

import pytest

from api.http.checks import (
    DAY_MS,
    LATE_INTERVALS,
    LOW_DISK_BYTES,
    MAX_BEHIND,
    NO_DISK_BYTES,
    SILENT_INTERVALS,
    SettlingState,
    Vitals,
    health_checks,
)
from api.http.service import CheckStatus

WELL = Vitals(
    behind=0,
    estimate_ms=None,
    is_stranded=False,
    quiet_ms=1_000,
    milestone_interval_ms=2_000,
    max_clock_ahead_ms=60_000,
    halted=None,
    peers=3,
    connected=3,
    is_writable=True,
    free_bytes=LOW_DISK_BYTES,
    certificate_left_ms=30 * DAY_MS,
)


def test_a_well_node_passes_all_checks() -> None:
    assert {check.status for check in health_checks(WELL)} == {CheckStatus.PASS}


def test_a_node_alone_by_configuration_is_well() -> None:
    alone = dataclasses.replace(WELL, peers=0, connected=0)

    assert {check.status for check in health_checks(alone)} == {CheckStatus.PASS}


@pytest.mark.parametrize(
    ("change", "name", "status", "words"),
    [
        ({"is_writable": False}, "storage", "fail", "read-only"),
        ({"behind": MAX_BEHIND}, "sync", "pass", "2 milestones behind, 2 are usual"),
        ({"behind": MAX_BEHIND + 1}, "sync", "fail", "3 milestones behind"),
        (
            {"behind": 900, "estimate_ms": 61_001},
            "sync",
            "fail",
            "900 milestones behind, 2 are usual, about 62 s to go",
        ),
        (
            {"behind": 900, "is_stranded": True},
            "sync",
            "fail",
            "900 milestones behind, 2 are usual; no peer keeps the next one any more: "
            "start from a snapshot",
        ),
        ({"halted": "two of one index"}, "sync", "fail", "two of one index"),
        ({"connected": 2}, "peers", "warn", "2 of 3 peers connected"),
        ({"connected": 0}, "peers", "fail", "0 of 3 peers connected"),
        ({"quiet_ms": LATE_INTERVALS * 2_000}, "coordinator", "pass", "10000 ms ago"),
        ({"quiet_ms": LATE_INTERVALS * 2_000 + 1}, "coordinator", "warn", "10001 ms ago"),
        ({"quiet_ms": SILENT_INTERVALS * 2_000}, "coordinator", "warn", "every 2000 ms"),
        ({"quiet_ms": SILENT_INTERVALS * 2_000 + 1}, "coordinator", "fail", "60001 ms ago"),
        ({"quiet_ms": -30_000}, "clock", "pass", "30000 ms ahead"),
        ({"quiet_ms": -30_001}, "clock", "warn", "60000 ms are tolerated"),
        ({"free_bytes": LOW_DISK_BYTES - 1}, "disk", "warn", "bytes free"),
        ({"free_bytes": NO_DISK_BYTES}, "disk", "warn", f"{NO_DISK_BYTES} bytes free"),
        ({"free_bytes": NO_DISK_BYTES - 1}, "disk", "fail", f"{NO_DISK_BYTES} are needed"),
        ({"certificate_left_ms": None}, "certificate", "pass", "links between nodes are plain"),
        ({"certificate_left_ms": 30 * DAY_MS - 1}, "certificate", "warn", "ends in 29 days"),
        ({"certificate_left_ms": 1}, "certificate", "warn", "ends in 0 days"),
        ({"certificate_left_ms": 0}, "certificate", "fail", "tanglewatt mesh renew"),
        ({"settling": SettlingState(("unit one",))}, "settlement", "warn", "unit one"),
        ({"settling": SettlingState((), ("two",))}, "settlement", "warn", "can ask for the sums"),
    ],
)
def test_one_value_out_of_bounds_shows_in_its_check_alone(
    change: dict[str, Any], name: str, status: str, words: str
) -> None:
    checks = {check.name: check for check in health_checks(dataclasses.replace(WELL, **change))}

    assert checks[name].status == status
    assert words in checks[name].detail
    others = {check.status for other, check in checks.items() if other != name}
    assert others == {CheckStatus.PASS}
