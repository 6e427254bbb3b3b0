"""A scenario through four real processes and their milestones, number by number."""

import os
from importlib.resources import files
from pathlib import Path

from api.processes.live_scenario import run_live
from energy.scenarios.file import parse_scenario

NIGHTLY = os.environ.get("TANGLEWATT_NIGHTLY") == "1"
TABLE = "thesis_chapter6.toml" if NIGHTLY else "table_2_5_mid.toml"


def test_a_scenario_holds_on_every_node_of_a_real_network(tmp_path: Path) -> None:
    text = (files("energy.scenarios") / "library" / TABLE).read_text("utf-8")
    short, _, _ = text.partition('[[step]]\ntext = "half')  # without the wait
    scenario, told = parse_scenario(short), list[str]()

    report = run_live(scenario, tmp_path / "net", told.append)

    assert report.difference is None
    assert report.steps == len(scenario.steps)
    assert told.count("edge-3 stopped") == 1


def test_a_difference_on_a_real_network_is_found(tmp_path: Path) -> None:
    scenario = parse_scenario(
        """
        name = "wrong"
        [network]
        eeuro = { A = "5 EUR" }
        [[step]]
        by = "A"
        do = "transfer.eeuro"
        to = "B"
        amount = "9 EUR"
        refused = "INSUFFICIENT_EEURO"
        expect = { "A.eeuro" = "5.000001 EUR" }
        """
    )

    report = run_live(scenario, tmp_path / "net", lambda _: None)

    assert report.difference is not None
    assert (report.difference.key, report.difference.found) == ("A.eeuro", "5 EUR")
