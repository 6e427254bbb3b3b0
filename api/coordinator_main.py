"""The coordinator: `python -m api.coordinator_main --config coordinator.toml`."""

import os

from api.compose import run_coordinator
from api.config import load_config
from api.logs import configure_logs
from api.options import ConfigFile, Settings, ending, run_single, settings
from api.records import CoordinatorConfig


def run(*, config: ConfigFile, set_: Settings = None) -> None:
    """Run the coordinator: a node that also issues milestones.

    It refuses to start without its lock file, which says what it signed last.

    Examples:
      tanglewatt coordinator run --config coordinator/coordinator.toml
    """
    configure_logs()
    with ending():
        record = load_config(CoordinatorConfig, config.absolute(), os.environ, settings(set_))
        run_coordinator(record)


if __name__ == "__main__":
    run_single(run, "tanglewatt coordinator run")
