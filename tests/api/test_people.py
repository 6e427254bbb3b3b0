"""A demonstration as `up` makes it: who is there, and that configuration and charter agree."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.exit_codes import ExitCode
from api.failures import CommandError
from api.network.init import create_network, existing_network, write_profile
from api.network.people import (
    PERIOD_WALL_MS,
    charter_of,
    patience_minutes,
    settlement_period_ms,
)
from api.network.plan import Wishes
from api.processes.community_main import community_of
from api.processes.meter_main import meter_of
from api.processes.opening import Request, make_or_open
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import BATTERY, Layout, load_network, process_names
from api.settings.records import BatterySource, MeterConfig, NodeConfig, Settlement, SyntheticSource
from devices.sources.battery import Battery
from devices.sources.household import QUARTER_MS
from devices.sources.rows import Position
from edge.ground.key_file import read_public_key
from energy.demo.people import Banker, Device, Household, Owner, Voter
from energy.parameters import RULES
from energy.units import DAY_MS, HOUR_MS
from tangle.address import Address, address_of, encode_address
from tests.api.made_network import NOW_MS, RECORDING, START_MS, plan, tools

PEOPLE = Wishes(homes=6, people=True)


@pytest.fixture
def demonstration(layout: Layout) -> Layout:
    create_network(layout, plan(PEOPLE), {}, tools())
    return layout


def whose(file: Path) -> str:
    return encode_address(address_of(read_public_key(file)))


def test_two_voters_a_banker_an_owner_and_the_members_are_in_genesis(
    demonstration: Layout,
) -> None:
    genesis = load_genesis(demonstration.genesis_file)
    roles = [one.role for one in genesis.identities]

    assert {role: roles.count(role) for role in set(roles)} == {"voter": 2, "member": 8, "edge": 4}
    assert len(genesis.allocations) == 6


def test_a_network_for_real_hosts_has_no_people(made: Layout) -> None:
    network = load_network(made)

    assert (network.has_people, network.roofs) == (False, ())
    assert not made.people_folder.exists()
    assert not made.battery_folder.exists()
    assert load_config(NodeConfig, made.edge_config("edge-1"), {}).settlement == Settlement()
    assert BATTERY not in process_names(network)


def test_a_demonstration_begins_at_midnight_before_a_day_in_june() -> None:
    begins = datetime.fromtimestamp(plan(PEOPLE).ledger_start_ms / 1_000, UTC)

    assert (begins.month, begins.day, begins.hour) == (5, 31, 22)
    assert begins.year == datetime.fromtimestamp(NOW_MS / 1_000, UTC).year
    recorded = Wishes(recordings={"a": START_MS}, people=True)
    assert plan(recorded).ledger_start_ms == START_MS
    assert plan(recorded).roofs == ()


def test_every_meter_is_enrolled_and_settled_at_its_home_edge(demonstration: Layout) -> None:
    network = load_network(demonstration)
    edges = {
        name: load_config(NodeConfig, demonstration.edge_config(name), {}) for name in network.edges
    }
    meters = [
        one
        for process in (*network.homes, BATTERY)
        for one in demonstration.meters(process, network)
    ]
    operator = address_of(read_public_key(demonstration.operator_key_file))
    assert len(meters) == 6 + 5 + 1  # the fifth home has no roof

    for meter in meters:
        config = load_config(MeterConfig, meter.config, {})
        home = next(
            edge
            for name, edge in edges.items()
            if read_public_key(demonstration.node_key_file(name)) == config.edge.key
        )
        public = read_public_key(meter.key)
        assert any(one.key == public for one in home.devices)
        assert home.settlement.shows_totals
        assert home.settlement.issuers == (operator,)
        is_roof = isinstance(config.source, SyntheticSource) and config.source.measures == "roof"
        assert (address_of(public) in home.settlement.pv_meters) == is_roof
    units = [one for edge in edges.values() for one in edge.settlement.units]
    (battery,) = demonstration.meters(BATTERY, network)
    assert [encode_address(Address(one.unit)) for one in units] == [whose(battery.key)]


def test_battery_and_charter_agree(demonstration: Layout) -> None:
    network = load_network(demonstration)
    charter = charter_of(demonstration, network)
    source = load_config(MeterConfig, demonstration.battery_config, {}).source

    assert isinstance(source, BatterySource)
    assert source.capacity_wh == charter.capacity_wh
    assert source.efficiency_ppm == charter.efficiency_ppm
    assert 0 < source.reserve_wh < source.capacity_wh // 10
    for name, value in charter.parameters.items():
        assert RULES[name].low <= value <= RULES[name].high


def test_the_people_have_the_keys_that_genesis_and_charter_name(demonstration: Layout) -> None:
    community = community_of(demonstration)
    network = load_network(demonstration)
    settling_edge = address_of(read_public_key(demonstration.node_key_file("edge-1")))

    for actor in community.actors:
        assert actor.person.address == actor.address
    kinds = [type(actor.person) for actor in community.actors]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        Voter: 2,
        Banker: 1,
        Owner: 1,
        Device: 1,
        Household: 6,
    }
    voters = [one.person for one in community.actors if isinstance(one.person, Voter)]
    assert sum(one.proposes for one in voters) == 1
    devices = [one.person for one in community.actors if isinstance(one.person, Device)]
    assert [one.edge for one in devices] == [settling_edge]
    assert len(community.edges) == len(network.edges)


def test_a_battery_goes_into_service_when_its_meter_first_starts(layout: Layout) -> None:
    create_network(layout, plan(Wishes(homes=1, people=True)), {}, tools())
    layout.profile_file.unlink()
    write_profile(layout.profile_file)
    genesis = load_genesis(layout.genesis_file)
    record = load_config(MeterConfig, layout.battery_config, {})
    now_ms = genesis.ledger_start_ms + 12 * HOUR_MS + 5

    _, battery = meter_of(record, genesis, now_ms)

    assert isinstance(battery, Battery)
    row = battery.row(Position())
    assert row is not None
    assert row.interval_start_ms == genesis.ledger_start_ms + 12 * HOUR_MS + QUARTER_MS
    assert row.registers.import_wh > 0  # noon in June


def test_beside_recorded_homes_the_battery_reads_their_recordings(layout: Layout) -> None:
    recordings = {"a": RECORDING, "b": RECORDING}
    wishes = Wishes(recordings=dict.fromkeys(recordings, START_MS), people=True)
    create_network(layout, plan(wishes), recordings, tools())
    genesis = load_genesis(layout.genesis_file)
    record = load_config(MeterConfig, layout.battery_config, {})

    _, battery = meter_of(record, genesis, START_MS + HOUR_MS)

    row = battery.row(Position())
    assert row is not None
    assert row.registers.import_wh == 0  # both homes lack energy, and there is none to give
    assert battery.row(Position(9, START_MS + 2 * HOUR_MS, row.registers)) is None


@pytest.mark.parametrize("scale", [1, 600, 1_800, 14_400, 10**6])
def test_a_settlement_period_is_as_long_as_reports_take(scale: int) -> None:
    period_ms, patience = settlement_period_ms(scale), patience_minutes(scale)

    low, high = RULES["settlement_period"].low, RULES["settlement_period"].high
    assert low <= period_ms <= high
    assert period_ms == high or period_ms >= PERIOD_WALL_MS * scale
    assert period_ms % DAY_MS == 0 or DAY_MS % period_ms == 0
    assert 60 <= patience <= 31 * 24 * 60


def test_people_cannot_be_added_to_a_network_that_has_none(made: Layout) -> None:
    with pytest.raises(CommandError) as caught:
        existing_network(made, Wishes(people=True))

    assert caught.value.failure.exit_code is ExitCode.BAD_CONFIGURATION
    assert "--people" in caught.value.failure.what


@pytest.mark.parametrize("homes", ["-1", "0", "-0"])
def test_a_number_of_homes_below_one_is_no_folder(layout: Layout, homes: str) -> None:
    with pytest.raises(CommandError) as caught:
        make_or_open(layout, Request(homes=homes))

    assert caught.value.failure.exit_code is ExitCode.USAGE
    assert "from 1 to" in caught.value.failure.why
