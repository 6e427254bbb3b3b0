"""The commands `scenario`: pure runs, files that cannot be run, and what differs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.commands.scenario_main import app
from api.exit_codes import ExitCode

SMALL = """
name = "small"
[network]
eeuro = { A = "5 EUR" }
[[step]]
by = "A"
do = "transfer.eeuro"
to = "B"
amount = "2 EUR"
expect = { "B.eeuro" = "2 EUR" }
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_the_thesis_holds() -> None:
    result = run("run", "thesis_chapter6")

    assert result.exit_code == ExitCode.OK
    assert "all 24 steps hold" in result.stdout


def test_a_file_holds_and_says_so_as_json(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL, "utf-8")

    result = run("run", str(file), "--json")

    assert result.exit_code == ExitCode.OK
    said = json.loads(result.stdout)
    assert (said["name"], said["steps"], said["difference"]) == ("small", 1, None)


def test_the_first_difference_is_printed_with_what_was_found(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL.replace('= "2 EUR" }', '= "3 EUR" }'), "utf-8")

    result = run("run", str(file))

    assert result.exit_code == ExitCode.REFUSED
    assert [line.strip() for line in result.stdout.splitlines()] == [
        f"{file}: step 1, B.eeuro",
        "expected 3 EUR",
        "found    2 EUR",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"\xff", "codec can't decode"),
        (SMALL.replace('"small"', "1").encode(), "name: 1 must be written as text"),
        (SMALL.replace('"2 EUR"', '"2 ENT"', 1).encode(), "step 1, transfer.eeuro: amount"),
        (SMALL.replace("B.eeuro", "C.eeuro").encode(), "nobody is named 'C'"),
        (b"x" * (2**20 + 1), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused_with_its_code(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "wrong.toml"
    if content is not None:
        file.write_bytes(content)

    result = run("run", str(file), "--json")

    assert result.exit_code == ExitCode.USAGE
    assert "TW-CFG-008" in result.stdout
    assert why in result.stdout


def test_what_ships_is_listed_by_name() -> None:
    found = json.loads(run("list", "--json").stdout)

    assert "thesis_chapter6" in found
    assert all(found.values())
