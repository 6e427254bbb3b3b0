"""A meter, or all meters of a home: `python -m api.processes.meter_main --config meter.toml`."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
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
from api.settings.records import (
    BatterySource,
    MeterConfig,
    Plate,
    RecordedBatterySource,
    RecordedSource,
    Source,
    SyntheticSource,
)
from api.terminal.options import Settings, ending, run_single, settings
from devices.capable import CapableTerms
from devices.meter import MeterIdentity
from devices.shell import MeterConfig as ShellConfig
from devices.shell import read_profile, read_recording, run_meters
from devices.sources.battery import Battery, Rating
from devices.sources.household import HouseholdProfile
from devices.sources.rows import ReadingSource
from devices.sources.street import RecordedStreet, Street, SyntheticStreet
from devices.sources.synthetic import SyntheticHome, first_slot_ms, home_of
from edge.ground.clock import Clock
from edge.ground.faults import pass_point
from edge.ground.key_file import read_key_file, read_passphrase
from tangle.genesis import Genesis, network_id
from tangle.keys import PublicKey, SigningKey

ConfigFiles = Annotated[
    list[Path],
    typer.Option("--config", "-c", envvar="TANGLEWATT_CONFIG", help="TOML file; repeat for more."),
]
DeliverOnly = Annotated[
    bool, typer.Option("--deliver-only", help="Make no new reading; deliver the rest and end.")
]


def run(*, config: ConfigFiles, set_: Settings = None, deliver_only: DeliverOnly = False) -> None:
    """Run a meter: measure, sign, post, keep each reading until its receipt.

    SIGUSR1 stops the measuring and lets it deliver the rest; SIGTERM stops at once. Several
    meters of one network share a process if their files are all named.

    Examples:
      tanglewatt meter run --config homes/home_01/meter.toml
      tanglewatt meter run --config homes/home_01/meter.toml --config homes/home_01/roof.toml
    """
    configure_logs()
    with ending():
        flags = settings(set_)
        records = [load_config(MeterConfig, one.absolute(), os.environ, flags) for one in config]
        asyncio.run(_run(records, measure=not deliver_only))


async def _run(records: Sequence[MeterConfig], *, measure: bool) -> None:
    genesis = load_genesis(records[0].meter.genesis_file)
    clock = Clock(genesis)
    meters = [meter_of(one, genesis, clock.instant().ledger_ms) for one in records]
    await run_meters(meters, clock.instant, measure=measure)


def meter_of(
    record: MeterConfig, genesis: Genesis, now_ms: int
) -> tuple[ShellConfig, ReadingSource]:
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
    return shell, _source(record.source, genesis.ledger_start_ms, now_ms)


def _terms(record: MeterConfig, genesis: Genesis, key: SigningKey) -> CapableTerms | None:
    """Return what a meter goes by that reports for energy accounts; `None` for one that reads."""
    if record.ctt is None:
        return None
    return CapableTerms(genesis, key, PublicKey(record.edge.key), ZoneInfo(record.ctt.zone))


def _source(source: Source, ledger_start_ms: int, now_ms: int) -> ReadingSource:
    """Return where a meter's registers come from, at `now_ms` of ledger time."""
    match source:
        case RecordedSource():
            return read_recording(source.file)
        case SyntheticSource():
            return replace(
                _home(source.seed, source.home, source.profile_file, ledger_start_ms),
                is_roof=source.measures == "roof",
            )
        case BatterySource():
            numbers, profile = range(source.homes), source.profile_file
            homes = [_home(source.seed, number, profile, ledger_start_ms) for number in numbers]
            return _battery(source, SyntheticStreet(tuple(homes)), now_ms)
        case RecordedBatterySource():
            street = RecordedStreet(tuple([read_recording(file) for file in source.files]))
            return replace(_battery(source, street, now_ms), is_replayed=True)
        case _:
            assert_never(source)


def _battery(plate: Plate, street: Street, now_ms: int) -> Battery:
    """Return a battery that goes into service now, or goes on from what its meter keeps."""
    rating = Rating(
        plate.capacity_wh, plate.power_w, plate.power_w, plate.efficiency_ppm, plate.reserve_wh
    )
    return Battery(street, rating, first_slot_ms(now_ms))


def _home(seed: int, number: int, profile: Path, ledger_start_ms: int) -> SyntheticHome:
    return SyntheticHome(
        seed, home_of(seed, number), _profile(profile.resolve()), first_slot_ms(ledger_start_ms)
    )


@cache
def _profile(file: Path) -> HouseholdProfile:
    """Return the profile that synthetic homes share: one copy for all meters of a process."""
    return read_profile(file)


if __name__ == "__main__":
    run_single(run, "tanglewatt meter run")
