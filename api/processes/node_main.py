"""One edge node: `python -m api.processes.node_main --config node.toml`."""

import os

from api.compose import run_node
from api.processes.memory import give_back
from api.settings.config import load_config
from api.settings.logs import configure_logs
from api.settings.records import NodeConfig
from api.terminal.options import ConfigFile, Settings, ending, run_single, settings


def run(*, config: ConfigFile, set_: Settings = None) -> None:
    """Run one edge node: intake, gossip, journal, HTTP.

    SIGTERM stops it; a restart goes on from its journal.

    Examples:
      tanglewatt node run --config edge-1/node.toml
      tanglewatt node run --config edge-1/node.toml --set http.port=8080
    """
    configure_logs()
    give_back()
    with ending():
        record = load_config(NodeConfig, config.absolute(), os.environ, settings(set_))
        run_node(record)


if __name__ == "__main__":
    run_single(run, "tanglewatt node run")
