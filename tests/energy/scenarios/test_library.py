"""The scenarios that ship: all hold, and together they meet every reason there is."""

import re
from pathlib import Path
from typing import Final

import pytest

from energy.scenarios.file import Act, parse_scenario
from energy.scenarios.run import run_scenario
from tangle.contracts import Changed, Context, Contract, Contracts
from tangle.outcomes import Reason
from tangle.rows import RowReader
from tests.community import CONTRACTS

FOLDER: Final = Path(__file__).parents[3] / "energy" / "scenarios" / "library"
FILES: Final = sorted(FOLDER.glob("*.toml"))
ELSEWHERE: Final = {
    Reason.BAD_PROOF,
    Reason.NO_SUCH_OBJECT,
    Reason.EXISTS,
    Reason.REVOKED,
    Reason.NOT_ACTIVE,
    Reason.WRONG_VAULT,
    Reason.BELOW_THRESHOLD,
    Reason.DUPLICATE_VOTE,
    Reason.SUSPENDED,
}
"""Of the contracts `device` and `access`, which have no operation of the energy layer."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scenario_that_ships_holds(file: Path) -> None:
    scenario = parse_scenario(file.read_text("utf-8"))

    report = run_scenario(scenario, CONTRACTS)

    assert report.difference is None
    assert report.steps == len(scenario.steps) > 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scenario_that_ships_notices_when_any_of_its_quantities_is_another(file: Path) -> None:
    text = file.read_text("utf-8")
    expected = [
        (line.start() + found.start(), found)
        for line in re.finditer(r"^expect = .*$", text, re.MULTILINE)
        for found in re.finditer(r'(?<=")-?[0-9.]+(?= (?:ENT|EUR|kWh)")', line[0])
    ]

    for at, found in expected:
        changed = text[:at] + f"{found[0]}7" + text[at + len(found[0]) :]
        if "." not in found[0]:
            changed = text[:at] + f"{found[0]}.007" + text[at + len(found[0]) :]
        assert run_scenario(parse_scenario(changed), CONTRACTS).difference is not None, found[0]


def test_every_reason_is_provoked_by_a_scenario() -> None:
    provoked = set()
    for file in FILES:
        for step in parse_scenario(file.read_text("utf-8")).steps:
            if isinstance(step, Act):
                provoked |= {step.refused, step.remark}

    assert provoked - {None} == set(Reason) - ELSEWHERE


def test_a_refusal_changes_nothing() -> None:
    looked_at = []

    def watched(contract: Contract[object]) -> Contract[object]:
        def apply(rows: RowReader, call: object, context: Context) -> Changed | Reason:
            before = dict(rows.scan(b""))
            decided = contract.apply(rows, call, context)
            if isinstance(decided, Reason):
                assert dict(rows.scan(b"")) == before
                looked_at.append(decided)
            return decided

        return Contract(contract.name, contract.decode, apply, contract.end_milestone)

    contracts: Contracts = {name: watched(one) for name, one in CONTRACTS.items()}
    text = (FOLDER / "every_reason.toml").read_text("utf-8")

    assert run_scenario(parse_scenario(text), contracts).difference is None
    assert len(looked_at) > 20
