"""`tanglewatt audit` over journals, and history applied anew."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.commands.audit_main import audit
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from api.terminal.options import add_command, typer_app
from edge.journal.journal import Journal
from edge.journal.offline import open_reader
from edge.journal.replaying import replay, stored_rows
from edge.journal.storage import JOURNAL_NAME
from energy.bills.as_json import bill_file
from tangle.accounts import Token, balance
from tangle.address import address_of
from tangle.errors import DamagedStoreError, NotProvableError
from tangle.genesis import network_id
from tangle.transaction import MAX_INTEGER
from tests.api.recorded_journal import MILESTONES, write_journal
from tests.api.small_node import BOB, GENESIS, NETWORK
from tests.community import CONTRACTS
from tests.energy.bills.billing import slide_bill

WHOLE = (0, MAX_INTEGER)


def run(*arguments: str) -> Result:
    single = typer_app()
    add_command(single, "audit", audit)
    return CliRunner().invoke(single, arguments)


@pytest.fixture
def started(made: Layout) -> Layout:
    """A network whose first edge has started once."""
    genesis = load_genesis(made.genesis_file)
    with Journal(made.root / "edge-1" / "data", network_id(genesis)) as journal:
        journal.restore(genesis, 20)
    return made


def change(layout: Layout, statement: str) -> None:
    file = layout.root / "edge-1" / "data" / JOURNAL_NAME
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def test_a_fresh_network_adds_up(started: Layout) -> None:
    result = run("--data-dir", str(started.root), "--json")

    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["holds"] is True
    assert said["counts"]["broken"] == said["counts"]["unknown"] == 0
    assert {"ent.total", "eeuro.flow"} <= {one["name"] for one in said["equations"]}


def test_a_running_node_is_audited_beside_it(started: Layout) -> None:
    genesis = load_genesis(started.genesis_file)
    with Journal(started.root / "edge-1" / "data", network_id(genesis)):
        assert run("--config", str(started.edge_config("edge-1"))).exit_code == 0


def test_a_broken_equation_is_printed_with_both_sides_and_ends_with_5(started: Layout) -> None:
    change(started, "DELETE FROM ledger WHERE key = CAST('total/eeuro' AS BLOB)")

    result = run("--data-dir", str(started.root))

    assert result.exit_code == 5
    (line,) = (one for one in result.stdout.splitlines() if one.startswith("✘ eeuro.total"))
    assert line.endswith(" is not 0 µEUR")
    assert "TW-LED-007" in result.stderr


def test_a_pruned_node_says_what_it_cannot_compute_and_ends_with_1(started: Layout) -> None:
    change(started, "INSERT INTO counters VALUES ('meta/pruned_through', 7, 0)")

    result = run("--data-dir", str(started.root))

    assert result.exit_code == 1
    assert "? ent.flow" in result.stdout
    assert "through milestone 7 has left" in result.stdout
    assert "TW-LED-008" in result.stderr


def test_homes_and_bills_are_part_of_it(started: Layout, tmp_path: Path) -> None:
    sums, folder = tmp_path / "sums.csv", tmp_path / "bills"
    sums.write_text(
        "day,regime,from_grid_wh,produced_wh,load_wh\n2026-11-01,grid,5,1,6\n2026-11-02,grid,5,1,7\n",
        "utf-8",
    )
    folder.mkdir()
    (folder / "1.json").write_bytes(bill_file(slide_bill()))
    home = f"home_01={sums}"
    of_one_day = ("--first-day", "2026-11-01", "--last-day", "2026-11-01")

    good = run("--data-dir", str(started.root), "--sums", home, *of_one_day)
    bad = run("--data-dir", str(started.root), "--sums", home, "--bills", str(folder))

    assert good.exit_code == 0, good.output
    assert "✔ home.energy" in good.stdout
    assert bad.exit_code == 5
    assert "PV + import + discharge = load + export + charge: 6 is not 7 Wh" in bad.stdout
    assert "✘ bill.digest" in bad.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--first-day", "2026-11-02", "--last-day", "2026-11-01"), "the period has no day"),
        (("--zone", "Nowhere/Else", "--first-day", "2026-11-01"), "no such time zone"),
        (("--zone", "../x", "--first-day", "2026-11-01"), "no such time zone"),
        (("--sums", "november.csv"), "must be WHO=FILE"),
    ],
)
def test_arguments_that_say_nothing_are_refused(
    started: Layout, arguments: tuple[str, ...], why: str
) -> None:
    result = run("--data-dir", str(started.root), *arguments)

    assert result.exit_code == 2
    assert why in result.stderr


def test_history_applied_anew_is_what_the_journal_holds(tmp_path: Path) -> None:
    write_journal(tmp_path)

    with open_reader(tmp_path / JOURNAL_NAME, NETWORK) as reader:
        replayed = replay(reader, GENESIS, CONTRACTS, WHOLE)
        stored = stored_rows(reader)

    assert dict(replayed.after.scan(b"")) == dict(stored.scan(b""))
    assert len(replayed.events) == MILESTONES
    assert balance(replayed.before, Token.EEURO, address_of(BOB.public)) == 0
    assert balance(replayed.after, Token.EEURO, address_of(BOB.public)) == MILESTONES * 1_000


def test_a_period_begins_and_ends_between_milestones(tmp_path: Path) -> None:
    write_journal(tmp_path)

    with open_reader(tmp_path / JOURNAL_NAME, NETWORK) as reader:
        times = [at for (at,) in reader.rows("SELECT timestamp_ms FROM milestones ORDER BY 1")]
        middle = replay(reader, GENESIS, CONTRACTS, (times[2], times[5]))
        later = replay(reader, GENESIS, CONTRACTS, (times[-1] + 1, MAX_INTEGER))

    assert balance(middle.before, Token.EEURO, address_of(BOB.public)) == 2_000
    assert balance(middle.after, Token.EEURO, address_of(BOB.public)) == 5_000
    assert (len(middle.earlier), len(middle.events)) == (2, 3)
    assert (len(later.earlier), len(later.events)) == (MILESTONES, 0)


def test_a_history_with_a_hole_is_not_applied(tmp_path: Path) -> None:
    write_journal(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL_NAME)) as connection, connection:
        connection.execute("DELETE FROM bodies WHERE number = 3")

    with (
        open_reader(tmp_path / JOURNAL_NAME, NETWORK) as reader,
        pytest.raises(DamagedStoreError, match="its bytes are not here"),
    ):
        replay(reader, GENESIS, CONTRACTS, WHOLE)


def test_a_history_that_has_left_is_not_known(tmp_path: Path) -> None:
    write_journal(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL_NAME)) as connection, connection:
        connection.execute("INSERT INTO counters VALUES ('meta/pruned_through', 2, 0)")

    with (
        open_reader(tmp_path / JOURNAL_NAME, NETWORK) as reader,
        pytest.raises(NotProvableError, match="through milestone 2"),
    ):
        replay(reader, GENESIS, CONTRACTS, WHOLE)
