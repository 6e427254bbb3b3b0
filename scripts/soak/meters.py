"""All meters of a data folder in one process: `python -m scripts.soak.meters FOLDER`.

Each is the meter that `tanglewatt meter run` runs, with its own key, outbox and connection; only
the interpreter is shared, so that a hundred of them fit on a small machine.
"""

import asyncio
import os
import sys
from pathlib import Path

from api.processes.meter_main import meter_of
from api.processes.up_network import DELIVER_ONLY
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout, load_network
from api.settings.logs import configure_logs
from api.settings.records import MeterConfig
from api.terminal.options import ending
from devices.shell import run_meters
from edge.ground.clock import Clock


def main() -> None:
    """Run the meters until a signal; SIGUSR1 lets them deliver the rest."""
    configure_logs()
    layout = Layout(Path(sys.argv[1]))
    with ending():
        asyncio.run(run(layout, measure=DELIVER_ONLY not in sys.argv[2:]))


async def run(layout: Layout, *, measure: bool) -> None:
    """Run every meter of a network."""
    genesis = load_genesis(layout.genesis_file)
    clock = Clock(genesis)
    now_ms = clock.instant().ledger_ms
    meters = [
        meter_of(load_config(MeterConfig, layout.meter_config(name), os.environ), genesis, now_ms)
        for name in load_network(layout).homes
    ]
    await run_meters(meters, clock.instant, measure=measure)


if __name__ == "__main__":
    main()
