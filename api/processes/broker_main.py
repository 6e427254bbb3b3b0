"""The embedded MQTT broker: `python -m api.processes.broker_main --config broker.toml`."""

import asyncio
import os

from api.settings.config import load_config
from api.settings.logs import configure_logs
from api.settings.records import BrokerConfig
from api.terminal.options import ConfigFile, Settings, ending, run_single, settings
from edge.meters.broker import run_broker


def run(*, config: ConfigFile, set_: Settings = None) -> None:
    """Run the embedded MQTT broker, enough for one host; beyond it, run Mosquitto.

    Examples:
      tanglewatt broker run --config broker/broker.toml
    """
    configure_logs()
    with ending():
        record = load_config(BrokerConfig, config.absolute(), os.environ, settings(set_))
        asyncio.run(run_broker(record.mqtt.host, record.mqtt.port))


if __name__ == "__main__":
    run_single(run, "tanglewatt broker run")
