"""One meter as a process of its own, for tests that kill it: `python -m … <settings as JSON>`."""

import asyncio
import json
import sys
import time
from pathlib import Path

from devices.meter import MeterLimits
from devices.shell import MeterConfig, run_meter
from tangle.effects import Instant
from tests.devices.homes import IDENTITY, recording


def main() -> None:
    """Run until the recording ends or a signal comes; ledger time starts with the settings."""
    settings = json.loads(sys.argv[1])
    scale, started_ms = settings["time_scale"], settings["started_ms"]

    def now() -> Instant:
        wall_ms = time.time_ns() // 1_000_000  # noqa: TID251 — a real process has a real clock
        return Instant(wall_ms, (wall_ms - started_ms) * scale)

    config = MeterConfig(
        identity=IDENTITY,
        outbox=Path(settings["outbox"]),
        broker_host="127.0.0.1",
        broker_port=settings["port"],
        time_scale=scale,
        limits=MeterLimits(window=16, retry_ms=500),
    )
    asyncio.run(
        run_meter(config, recording(settings["rows"]), now, measure=settings.get("measure", True))
    )


if __name__ == "__main__":
    main()
