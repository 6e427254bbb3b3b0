"""One meter: `python -m api.processes.meter_main --config meter.toml`."""

import asyncio
import os
from functools import cache
from pathlib import Path
from typing import Annotated, assert_never
from zoneinfo import ZoneInfo

import typer

from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import OUTBOX
from api.settings.logs import configure_logs
from api.settings.private_files import create_folder
from api.settings.records import MeterConfig, RecordedSource, SyntheticSource
from api.terminal.options import ConfigFile, Settings, ending, run_single, settings
from devices.capable import CapableTerms
from devices.meter import MeterIdentity
from devices.shell import MeterConfig as ShellConfig
from devices.shell import read_profile, read_recording, run_meter
from devices.sources.household import HouseholdProfile
from devices.sources.rows import ReadingSource
from devices.sources.synthetic import SyntheticHome, first_slot_ms, home_of
from edge.ground.clock import Clock
from edge.ground.faults import pass_point
from edge.ground.key_file import read_key_file, read_passphrase
from tangle.genesis import Genesis, network_id
from tangle.keys import PublicKey, SigningKey

DeliverOnly = Annotated[
    bool, typer.Option("--deliver-only", help="Make no new reading; deliver the rest and end.")
]


def run(*, config: ConfigFile, set_: Settings = None, deliver_only: DeliverOnly = False) -> None:
    """Run one meter: measure, sign, post, keep each reading until its receipt.

    SIGUSR1 stops the measuring and lets it deliver the rest; SIGTERM stops at once.

    Examples:
      tanglewatt meter run --config homes/home_01/meter.toml
    """
    configure_logs()
    with ending():
        record = load_config(MeterConfig, config.absolute(), os.environ, settings(set_))
        asyncio.run(_run(record, measure=not deliver_only))


async def _run(record: MeterConfig, *, measure: bool) -> None:
    genesis = load_genesis(record.meter.genesis_file)
    config, source = meter_of(record, genesis)
    await run_meter(config, source, Clock(genesis).instant, measure=measure)


def meter_of(record: MeterConfig, genesis: Genesis) -> tuple[ShellConfig, ReadingSource]:
    """Return the meter of a configuration, with its key opened and its data folder made."""
    passphrase = read_passphrase(record.meter.passphrase_file)
    key = read_key_file(record.meter.key_file, passphrase)
    create_folder(record.meter.data_dir)
    shell = ShellConfig(
        MeterIdentity(network_id(genesis), key, PublicKey(record.edge.key)),
        record.meter.data_dir / OUTBOX,
        record.mqtt.host,
        record.mqtt.port,
        genesis.parameters.time_scale,
        pass_point=pass_point,
        capable=_terms(record, genesis, key),
    )
    return shell, _source(record.source, genesis.ledger_start_ms)


def _terms(record: MeterConfig, genesis: Genesis, key: SigningKey) -> CapableTerms | None:
    """Return what a meter goes by that reports for energy accounts; `None` for one that reads."""
    if record.ctt is None:
        return None
    return CapableTerms(genesis, key, PublicKey(record.edge.key), ZoneInfo(record.ctt.zone))


def _source(source: RecordedSource | SyntheticSource, ledger_start_ms: int) -> ReadingSource:
    match source:
        case RecordedSource():
            return read_recording(source.file)
        case SyntheticSource():
            return SyntheticHome(
                source.seed,
                home_of(source.seed, source.home),
                _profile(source.profile_file.resolve()),
                first_slot_ms(ledger_start_ms),
            )
        case _:
            assert_never(source)


@cache
def _profile(file: Path) -> HouseholdProfile:
    """Return the profile that synthetic homes share: one copy for all meters of a process."""
    return read_profile(file)


if __name__ == "__main__":
    run_single(run, "tanglewatt meter run")
