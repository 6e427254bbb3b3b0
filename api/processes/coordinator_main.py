"""The coordinator: `python -m api.processes.coordinator_main --config coordinator.toml`."""

import os

from api.compose import run_coordinator
from api.processes.memory import give_back
from api.settings.config import load_config
from api.settings.logs import configure_logs
from api.settings.records import CoordinatorConfig
from api.terminal.options import ConfigFile, Settings, ending, run_single, settings


def run(*, config: ConfigFile, set_: Settings = None) -> None:
    """Run the coordinator: a node that also issues milestones.

    It refuses to start without its lock file, which says what it signed last.

    Examples:
      tanglewatt coordinator run --config coordinator/coordinator.toml
    """
    configure_logs()
    give_back()
    with ending():
        record = load_config(CoordinatorConfig, config.absolute(), os.environ, settings(set_))
        run_coordinator(record)


if __name__ == "__main__":
    run_single(run, "tanglewatt coordinator run")
