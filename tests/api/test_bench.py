"""The commands `bench …`: their figures, a table or one JSON object each."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from api.bench import access_load, energy_load, growth, tangle_load
from api.commands import bench_main
from api.main import app
from energy.workload import SHARES

FIELDS = ["metric", "value", "unit", "rounds", "limit", "ratio", "cpu_us_per_item", "machine"]


def figures(*arguments: str) -> list[dict[str, object]]:
    """Run a command with `--json`; return what it printed."""
    word = arguments[0]
    is_own_program = word in {command.name for command in bench_main.app.registered_commands}
    program, path = (bench_main.app, ()) if is_own_program else (app, ("bench",))
    result = CliRunner().invoke(program, [*path, *arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(one) for one in told] == [[*FIELDS, "schema"]] * len(told)
    assert all(one["value"] > 0 for one in told)
    return told


def test_energy_has_a_figure_for_each_kind_of_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy_load, "MEMBERS", 30)
    monkeypatch.setattr(energy_load, "RESTING", (20, 40))

    told = figures("energy", "--rounds", "2", "--operations", "100")

    assert [(one["metric"], one["unit"], one["rounds"]) for one in told] == [
        ("energy.applied", "operations/s", 2),
        *((f"energy.applied.{kind}", "operations/s", 2) for kind in SHARES),
        ("market.orders.20", "orders/s", 2),
        ("market.orders.40", "orders/s", 2),
    ]


def test_a_bill_run_is_one_figure() -> None:
    (told,) = figures("bills", "--rounds", "1", "--members", "3")

    assert (told["metric"], told["unit"], told["limit"]) == ("bills.month.3", "ms", 30)


def test_the_threshold_scheme_is_told_in_multiplications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_load, "REPEATS", 3)

    told = figures("access", "--rounds", "2")

    assert [(one["metric"], one["unit"]) for one in told] == [
        ("access.multiply", "ms"),
        *(
            (f"access.{name}", "multiplications")
            for name in ("encapsulate", "partial", "verify", "combine", "signature")
        ),
    ]


def test_weights_are_held_against_their_twin_and_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tangle_load, "WINDOW", 200)
    monkeypatch.setattr(tangle_load, "SMALL_WINDOW", 150)

    told = figures("weights", "--rounds", "2")

    assert [(one["metric"], one["unit"], one["limit"]) for one in told] == [
        ("weights.batch64", "µs/transaction", 2),
        ("weights.plain.batch64", "µs/transaction", None),
        ("weights.all.150", "ms", None),
        ("weights.networkx.150", "ms", None),
        ("weights.speed_up.150", "x", 1_000),
    ]


def test_walks_and_work_are_measured_beside_their_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tangle_load, "WINDOW", 2_000)
    monkeypatch.setattr(tangle_load, "SEARCHES", 2)
    monkeypatch.setattr(tangle_load, "SIMULATED", 200)

    told = [*figures("walk", "--rounds", "2"), *figures("work", "--rounds", "1")]

    assert [one["metric"] for one in told] == [
        "walk.selection",
        "walk.selection.plain",
        "walk.simulated.200",
        "work.14bits",
        "work.trials",
        "work.14bits.plain",
        "work.trials.plain",
    ]


def test_without_networkx_there_is_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tangle_load, "WINDOW", 100)
    monkeypatch.setattr(tangle_load, "SMALL_WINDOW", 100)
    monkeypatch.setattr(bench_main, "is_there", lambda library: library != "networkx")

    told = figures("weights", "--rounds", "1")

    assert all("networkx" not in str(one["metric"]) for one in told)


def test_the_limit_is_of_one_processor_and_of_all() -> None:
    one, both = figures("limit", "--rounds", "2", "--signatures", "512")

    assert (one["metric"], both["metric"]) == ("limit.one", "limit.all")
    assert one["unit"] == both["unit"] == "signatures/s"


def test_ingest_is_held_against_the_limit_of_the_same_run() -> None:
    limit, ingest, rest = figures("ingest", "--rounds", "1", "--transactions", "800")

    assert [one["metric"] for one in (limit, ingest, rest)] == [
        "limit.all",
        "ingest",
        "ingest.rest",
    ]
    assert ingest["limit"] == limit["value"]
    assert rest["limit"] == 15


def test_a_milestone_is_judged_and_journalled() -> None:
    told = figures("confirm", "--rounds", "2", "--operations", "600")

    assert [one["metric"] for one in told] == ["confirm", "confirm.judge", "confirm.journal"]
    assert told[0]["limit"] == 0.03


def test_a_load_comes_over_the_mesh_from_another_process() -> None:
    limit, mesh = figures("mesh", "--rounds", "1", "--transactions", "500")

    assert mesh["metric"] == "mesh"
    assert mesh["limit"] == limit["value"]


def test_memory_is_that_of_one_pending_transaction() -> None:
    # a process of its own: one that has freed memory before need not grow
    words = ("memory", "--rounds", "3", "--transactions", "2000", "--json")
    command = [sys.executable, "-m", "api.commands.bench_main", *words]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    told = json.loads(done.stdout)

    assert told["value"] > 0
    assert (told["metric"], told["unit"], told["limit"]) == ("memory.pending", "bytes", 1_000)


def test_growth_compares_the_last_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "STEP", 400)
    monkeypatch.setattr(growth, "KEPT_MILESTONES", 3)

    first, last = figures("growth", "--total", "10000")

    assert last["limit"] == first["value"]
    assert (first["rounds"], last["rounds"]) == (5, 5)


def test_without_json_it_is_a_table() -> None:
    result = CliRunner().invoke(app, ["bench", "bills", "--rounds", "1", "--members", "3"])

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[0] == "bills.month.3"
