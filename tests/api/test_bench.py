"""The command `bench energy`: its figures, one JSON object each."""

import json

import pytest
from typer.testing import CliRunner

from api.commands import bench_access, bench_commands
from api.main import app
from energy.workload import SHARES

FIELDS = ["metric", "value", "unit", "rounds", "machine", "schema"]


def test_every_figure_is_one_object_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_commands, "MEMBERS", 30)
    monkeypatch.setattr(bench_commands, "RESTING", (20, 40))

    result = CliRunner().invoke(app, ["bench", "energy", "--rounds", "2", "--operations", "100"])

    figures = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [list(one) for one in figures] == [FIELDS] * len(figures)
    assert [(one["metric"], one["unit"]) for one in figures] == [
        ("energy.applied", "operations/s"),
        *((f"energy.applied.{kind}", "operations/s") for kind in SHARES),
        ("market.orders.20", "orders/s"),
        ("market.orders.40", "orders/s"),
    ]
    assert all(one["value"] > 0 and one["rounds"] == 2 for one in figures)


def test_a_bill_run_is_one_figure() -> None:
    result = CliRunner().invoke(app, ["bench", "bills", "--rounds", "1", "--members", "3"])

    (figure,) = (json.loads(line) for line in result.stdout.splitlines())
    assert result.exit_code == 0
    assert list(figure) == FIELDS
    assert (figure["metric"], figure["unit"]) == ("bills.month.3", "ms")
    assert figure["value"] > 0


def test_the_threshold_scheme_is_told_in_multiplications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_access, "REPEATS", 3)

    result = CliRunner().invoke(app, ["bench", "access", "--rounds", "2"])

    figures = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [list(one) for one in figures] == [FIELDS] * len(figures)
    assert [(one["metric"], one["unit"]) for one in figures] == [
        ("access.multiply", "ms"),
        *(
            (f"access.{name}", "multiplications")
            for name in ("encapsulate", "partial", "verify", "combine", "signature")
        ),
    ]
    assert all(one["value"] > 0 and one["rounds"] == 2 for one in figures)
