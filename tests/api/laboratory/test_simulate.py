"""The commands `simulate run` and `simulate sweep`: what they print, write and refuse."""

import csv
import json
from pathlib import Path

import networkx
import pytest
from typer.testing import CliRunner, Result

from api.commands import simulate_main
from api.laboratory.choices import Sweep, experiments_of
from api.laboratory.running import run_all, run_one
from api.laboratory.summary import settings_of, summary_of
from api.terminal import extras
from tip_selection.laboratory.experiment import Experiment, ParasiteChain, SelectorName

SMALL = ("-n", "300", "--rate", "10")


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(simulate_main.app, arguments)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_run_tells_what_was_tried_and_what_came_out() -> None:
    result = simulate("run", *SMALL, "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (told["transactions"], told["honest"], told["attackers"]) == (300, 300, 0)
    assert told["expected_tips"] == 20
    assert told["attacker_won"] is None


def test_the_same_seed_writes_the_same_files_and_another_one_does_not(tmp_path: Path) -> None:
    for name, seed in (("first", "1"), ("again", "1"), ("other", "2")):
        arguments = ("--out", str(tmp_path / name), "--plots", "svg", "--graphml", "--seed", seed)
        assert simulate("run", *SMALL, "--watch", "2", *arguments).exit_code == 0

    written = {
        name: {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("first", "again", "other")
    }
    assert written["first"] == written["again"]
    assert set(written["first"]) == {
        *("transactions.csv", "tips.csv", "weights.csv", "confidence.csv", "tangle.graphml"),
        *("tips.svg", "weights.svg", "first_approval.svg", "left_behind.svg", "confidence.svg"),
    }
    differing = {name for name, data in written["first"].items() if data != written["other"][name]}
    assert {"transactions.csv", "tips.csv", "tangle.graphml", "tips.svg"} <= differing


def test_tables_and_graph_hold_every_transaction(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    options = ("--milestone-interval", "3", "--attack", "splitting", "--share", "0.3")
    result = simulate(
        *("run", "-n", "600", "--attack-begin", "5", *options, "--out", str(folder), "--graphml")
    )

    assert result.exit_code == 0, result.stderr
    table = rows(folder / "transactions.csv")
    graph = networkx.read_graphml(folder / "tangle.graphml", node_type=int)
    assert [int(row["number"]) for row in table] == sorted(graph.nodes)
    for row in table:
        number = int(row["number"])
        assert [str(parent) for parent in graph.successors(number)] == row["parents"].split()
        assert graph.nodes[number]["party"] == row["party"]
        assert graph.nodes[number].get("referenced_s") == (
            float(row["referenced_s"]) if row["referenced_s"] else None
        )
    parties = [row["party"] for row in table]
    assert parties.count("honest") + parties.count("attacker") == 600
    assert len(rows(folder / "tips.csv")) == parties.count("honest")


def test_a_png_is_one(tmp_path: Path) -> None:
    assert simulate("run", *SMALL, "--out", str(tmp_path), "--plots", "png").exit_code == 0

    assert (tmp_path / "tips.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")

    result = simulate("run", *SMALL, "--out", str(tmp_path))

    assert result.exit_code == 2
    assert "not written over" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_plots_need_a_folder_and_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homeless = simulate("run", *SMALL, "--plots", "svg")
    monkeypatch.setattr(extras, "is_there", lambda _: False)
    without = simulate("run", *SMALL, "--plots", "svg", "--out", str(tmp_path / "new"))
    graphless = simulate("run", *SMALL, "--graphml", "--out", str(tmp_path / "other"))

    assert (homeless.exit_code, without.exit_code, graphless.exit_code) == (2, 2, 2)
    assert "--out" in homeless.stderr
    assert "TW-ARG-002 matplotlib is not installed" in without.stderr
    assert "TW-ARG-002 networkx is not installed" in graphless.stderr


def test_a_sweep_runs_every_combination_in_order_and_as_run_does(tmp_path: Path) -> None:
    result = simulate(
        *("sweep", "-n", "400", "--alphas", "0,1", "--shares", "0.2,0.4", "--repeats", "2"),
        *("--milestone-intervals", "none", "--attack-begin", "5", "--attack-hold", "5"),
        *("--out", str(tmp_path), "--plots", "svg"),
    )

    assert result.exit_code == 0, result.stderr
    table = rows(tmp_path / "sweep.csv")
    combinations = [(float(row["alpha"]), float(row["share"]), int(row["seed"])) for row in table]
    assert combinations == [
        (alpha, share, seed) for alpha in (0, 1) for share in (0.2, 0.4) for seed in (1, 2)
    ]
    assert {file.name for file in tmp_path.iterdir()} == {
        *("sweep.csv", "attacker_won.svg", "second_share.svg"),
    }
    alone = simulate(
        *("run", "-n", "400", "--alpha", "1", "--share", "0.4", "--seed", "2", "--json"),
        *("--attack", "parasite-chain", "--attack-begin", "5", "--attack-hold", "5"),
    )
    told = {
        key: "" if value is None else str(value) for key, value in json.loads(alone.stdout).items()
    }
    assert {**table[-1], "schema": told["schema"]} == told


def test_a_sweep_as_json_is_a_row_a_line() -> None:
    result = simulate(
        *("sweep", "-n", "50", "--attack", "none", "--shares", "0", "--alphas", "0.01"),
        *("--selectors", "uniform,unweighted-walk", "--repeats", "1", "--json"),
    )

    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["selector"] for one in told] == ["uniform", "unweighted-walk"]
    assert all(one["attack"] is None for one in told)


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--alphas", "0.1,high", "a number from 0 to 1000"),
        ("--alphas", "-1", "a number from 0 to 1000"),
        ("--alphas", "nan", "a number from 0 to 1000"),
        ("--shares", "0.99", "a number from 0 to 0.95"),
        ("--rates", "", "a number from 0.001 to 100000"),
        ("--selectors", "best", "one of uniform, unweighted-walk, weighted-walk, heaviest-branch"),
        ("--milestone-intervals", "never", "a number from 0.001 to 1e+06"),
    ],
)
def test_a_list_with_what_cannot_be_is_refused_with_the_rule(
    option: str, value: str, rule: str
) -> None:
    result = simulate("sweep", option, value)

    assert result.exit_code == 2
    assert f"✘ TW-ARG-001 {option} {value}" in result.stderr
    assert rule in result.stderr


def test_a_sweep_without_end_is_refused() -> None:
    result = simulate("sweep", "--repeats", "1000")

    assert result.exit_code == 2
    assert "24,000 runs: 10,000 at most" in result.stderr


def test_the_lists_of_a_sweep_vary_the_model_and_nothing_else() -> None:
    attack = ParasiteChain(1, 2)
    model = Experiment(10, 1.0, 1.0, attack=attack, seed=7)

    varied = experiments_of(model, Sweep("uniform", "0.5", "3", "0.25", "none, 2", 2))

    expected = Experiment(
        10, 3.0, 1.0, SelectorName.UNIFORM, 0.5, attack=attack, share=0.25, seed=7
    )
    assert varied[0] == expected
    assert [(one.milestone_interval_s, one.seed) for one in varied] == [
        *((None, 7), (None, 8)),
        *((2.0, 7), (2.0, 8)),
    ]


def test_without_an_attack_nobody_has_a_share() -> None:
    varied = experiments_of(Experiment(10, 1.0, 1.0), Sweep("uniform", "0", "1", "0.1,0.2", "2", 1))

    assert [one.share for one in varied] == [0.0]


def test_a_run_that_fails_ends_the_sweep() -> None:
    impossible = Experiment(10, rate_per_s=0.0, delay_s=1.0)

    with pytest.raises(ZeroDivisionError):
        run_all([impossible, impossible], is_quiet=True)


def test_settings_and_summary_share_no_name() -> None:
    experiment = Experiment(50, 5.0, 1.0)
    record = run_one(experiment, is_quiet=True)

    assert set(settings_of(experiment)) & set(summary_of(record)) == set()
