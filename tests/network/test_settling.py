"""A battery settled at one edge, a member homed at another: real processes, meters and kills."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from api.client.issuing import FINAL_STATES, Issuer, issue
from api.commands.access_files import key_issuer, wallet_issuer
from api.contracts import CONTRACTS
from api.network.plan import Wishes
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from api.settings.wallet_file import read_wallet_public_key
from edge.ground.key_file import read_key_file, read_passphrase, read_public_key
from edge.journal.journal import Journal
from edge.journal.settled import SettledPeriod, SharedPeriod
from energy.governance.acts import RegisterUnit, SetParameter, Vote
from energy.governance.contract import vote_operation
from energy.powerchain.calls import Connect, energy_operation
from energy.powerchain.records import StorageUnit, unit_at
from energy.units import HOUR_MS
from tangle.address import Address, address_of, encode_address
from tangle.genesis import network_id
from tangle.node import NodeCore
from tangle.outcomes import State
from tangle.transaction import Operation
from tests.network.killing import World, make_world, running_world

TIME_SCALE: Final = 900
"""A quarter of an hour takes a second."""

START: Final = datetime(2026, 6, 1, tzinfo=UTC)
START_MS: Final = int(START.timestamp()) * 1_000
HOURS: Final = 6
BATTERY, VILLA = "home_01", "home_02"
"""At edge-1 and at edge-2. The first meter is the battery's: what it imports is charge."""

CHARGE_WH, DISCHARGE_WH = 450, 200
SURPLUS_WH, IMPORT_WH = 600, 500
KILLS: Final = (
    ("edge-1", "settlement.before"),
    ("edge-2", "sums.before"),
    ("edge-1", "settlement.after"),
)
"""One after each hour that is settled; the first before one is."""

LIMIT_S: Final = 150.0


def recording(even: tuple[int, int], odd: tuple[int, int]) -> bytes:
    """Return registers that grow by one pair in even quarter-hours, by another in odd ones.

    Not in the first one: what a meter counted before its first reading, nobody knows.
    """
    rows, registers = ["interval_end,import_register_wh,export_register_wh"], (0, 0)
    for slot in range(4 * HOURS):
        more = odd if slot % 2 else even if slot else (0, 0)
        registers = (registers[0] + more[0], registers[1] + more[1])
        end = START + timedelta(minutes=15 * (slot + 1))
        rows.append(f"{end:%Y-%m-%dT%H:%M:%SZ},{registers[0]},{registers[1]}")
    return ("\n".join(rows) + "\n").encode("ascii")


RECORDINGS: Final = {
    BATTERY: recording((CHARGE_WH, 0), (0, DISCHARGE_WH)),
    VILLA: recording((0, SURPLUS_WH), (IMPORT_WH, 0)),
}


def meter_of(layout: Layout, home: str) -> Address:
    return address_of(read_public_key(layout.home_folder(home) / "meter.key"))


def member_of(layout: Layout, home: str) -> Address:
    return address_of(read_wallet_public_key(layout.wallet_file(home)))


def have_settled(layout: Layout) -> None:
    """Let edge-1 settle the battery, whose own key reports; edge-2 needs to be told nothing."""
    battery = encode_address(meter_of(layout, BATTERY))
    key_file = layout.home_folder(BATTERY) / "meter.key"
    with layout.edge_config("edge-1").open("a", encoding="utf-8") as file:
        file.write(
            "\n[settlement]\npatience_minutes = 600\n\n[[settlement.units]]\n"
            f'unit = "{battery}"\nmeter = "{battery}"\nkey_file = "{key_file}"\n'
        )


def have_applied(world: World, issuer: Issuer, operation: Operation) -> None:
    tx_id = issue(world.client("edge-1"), issuer, operation, None)

    def is_final() -> bool:
        return world.client("edge-1").transaction(tx_id).state in FINAL_STATES

    world.wait(is_final, f"{tx_id} is applied")
    assert world.client("edge-1").transaction(tx_id).state == State.APPLIED.value


def found(world: World) -> None:
    """Register the battery, connect the villa to it, and have periods of an hour.

    The villa's edge ends when its first hour is netted.
    """
    layout = world.layout
    battery, owner = meter_of(layout, BATTERY), member_of(layout, BATTERY)
    voter = key_issuer(layout, layout.operator_key_file, None)
    member = wallet_issuer(layout, layout.wallet_file(VILLA), None)
    settler = address_of(read_public_key(layout.node_key_file("edge-1")))
    registered = Vote(RegisterUnit(battery, owner, 1_000_000), yes=True)
    have_applied(world, voter, vote_operation(registered))
    have_applied(world, member, energy_operation(Connect(battery, settler)))
    world.kill("edge-2")
    world.start("edge-2", "netting.after")
    hourly = Vote(SetParameter("settlement_period", HOUR_MS), yes=True)
    have_applied(world, voter, vote_operation(hourly))
    world.wait_killed("edge-2")
    world.restart("edge-2", "edge-2 netting.after")


def settled_through_h(world: World) -> float:
    """Return how many hours of the recording edge-1 has settled and reported."""
    text = world.client("edge-1").ask("GET", "/metrics").body.decode("utf-8")
    values = {
        line.partition("{")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("tanglewatt_settlement_") and "{unit=" in line
    }
    if not values or values["tanglewatt_settlement_reports_waiting"]:
        return 0
    through_ms = values["tanglewatt_settlement_unit_timestamp_seconds"] * 1_000
    return (through_ms - START_MS) / HOUR_MS


def wait_settled(world: World, hours: int) -> None:
    world.wait(lambda: settled_through_h(world) >= hours, f"{hours} h are settled", LIMIT_S)


def kept(layout: Layout, name: str) -> tuple[list[SettledPeriod], list[SharedPeriod], StorageUnit]:
    """Return what a stopped node has settled, and the battery on its ledger."""
    genesis = load_genesis(layout.genesis_file)
    key = read_key_file(layout.node_key_file(name), read_passphrase(layout.passphrase_file))
    with Journal(layout.node_folder(name) / "data", network_id(genesis)) as journal:
        core = NodeCore(
            genesis, CONTRACTS, journal.restore(genesis, genesis.parameters.reference_depth)
        )
        unit = unit_at(core.ledger.rows, meter_of(layout, BATTERY))
        assert unit is not None
        settled = journal.settled(key)
        return settled.periods(0, 2**50), settled.shared(0, 2**50), unit


def test_what_a_member_of_another_edge_used_is_on_the_ledger_once(tmp_path: Path) -> None:
    wishes = Wishes(edges=2, recordings=dict.fromkeys(RECORDINGS, START_MS), time_scale=TIME_SCALE)
    made = make_world(tmp_path / "net", wishes, RECORDINGS)
    layout = made.layout
    have_settled(layout)

    with running_world(layout.root, made) as world:
        found(world)
        for hours, (victim, point) in enumerate(KILLS):
            wait_settled(world, hours)
            world.kill(victim)
            world.start(victim, point)
            world.wait_killed(victim)
            world.restart(victim, f"{victim} {point}")
        wait_settled(world, HOURS)

    _, shared, unit = kept(layout, "edge-1")
    homes, _, _ = kept(layout, "edge-2")
    evens, odds = 2 * HOURS - 1, 2 * HOURS
    villa = [one for period in shared for one in period.members]
    assert {one.member for one in villa} == {member_of(layout, VILLA)}
    assert sum(one.import_wh for one in villa) == IMPORT_WH * odds
    assert sum(one.export_wh for one in villa) == SURPLUS_WH * evens
    assert sum(one.charge_wh for one in villa) == CHARGE_WH * evens
    assert sum(one.session_wh + one.over_wh for one in villa) == DISCHARGE_WH * odds
    assert unit.stored_wh == CHARGE_WH * evens - DISCHARGE_WH * odds
    assert all(one.missing == () for one in shared)
    days = [one for period in homes for one in period.members]
    assert sum(one.import_wh for one in days) == IMPORT_WH * odds
    assert sum(one.export_wh for one in days) == SURPLUS_WH * evens
