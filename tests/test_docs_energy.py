"""The pages on energy and scenarios say what the code does: tables, names, and every number."""

import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from energy import queries
from energy.forms import fields as kinds
from energy.forms.fields import Field, Reader
from energy.forms.operations import ACTS, FORMS, PARAMETER_FIELDS, SET_PARAMETER, VOTE
from energy.parameters import RULES, EnergyParameters, render_parameter, value_of
from energy.scenarios import file as scenario_file
from energy.scenarios.file import COMMIT, parse_scenario
from energy.scenarios.run import run_scenario
from energy.units import ENERGY, ENT, EUR, KWH_PRICE, PRICE, Unit
from tangle.outcomes import Reason
from tests.community import CONTRACTS
from tests.test_docs import first_column, page, section

ENERGY_PAGE: Final = "docs/energy.md"
SCENARIO_PAGE: Final = "docs/scenarios.md"
FENCE: Final = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)

KINDS: Final[dict[Reader, str]] = {
    kinds.ent: "ENT",
    kinds.eur: "EUR",
    kinds.energy: "energy",
    kinds.price: "price",
    kinds.rate: "part",
    kinds.member: "name",
    kinds.member_or_none: "name or none",
    kinds.order: "order",
    kinds.integer: "number",
    kinds.watts: "watts or none",
    kinds.moment: "duration",
    kinds.parameter_name: "word",
    kinds.parameter_text: "word",
    kinds.key_list: "names",
    kinds.member_list: "names",
    kinds.word: "word",
    kinds.length: "duration",
    kinds.kwh_price: "energy price",
    kinds.day: "day",
    kinds.hash_of: "digest",
    kinds.hash_list: "digests",
}
"""What the page calls each kind of field."""


class Example(NamedTuple):
    """One block of a page, as a whole scenario."""

    where: str
    text: str


def examples(name: str) -> list[Example]:
    """Return the blocks of a page; what is no whole file goes on where the first block ends."""
    text = page(name)
    first = ""
    found: list[Example] = []
    for block in FENCE.finditer(text):
        first = first or block[1]
        is_whole = block[1].startswith("name = ")
        heading = text[: block.start()].rpartition("\n#")[2].partition("\n")[0].strip("# ")
        where = f"{Path(name).stem}: {heading} {len(found)}"
        found.append(Example(where, block[1] if is_whole else f"{first}\n{block[1]}"))
    return found


EXAMPLES: Final = [*examples(ENERGY_PAGE), *examples(SCENARIO_PAGE)]


def rows_of(text: str) -> dict[str, str]:
    """Return the second cell of each row of the tables, by the code in the first."""
    return dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|", text, re.MULTILINE))


def written(fields: tuple[Field, ...]) -> str:
    """Return the fields of an operation as the page lists them."""
    return "; ".join(
        f"`{one.name}`{'?' if one.is_optional else ''} {KINDS[one.read]}" for one in fields
    )


# Examples.


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.where)
def test_an_example_comes_out_as_the_page_says(example: Example) -> None:
    scenario = parse_scenario(example.text)

    report = run_scenario(scenario, CONTRACTS)

    assert report.difference is None
    assert any(step.expect for step in scenario.steps)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.where)
def test_an_example_with_any_other_number_is_noticed(example: Example) -> None:
    text = example.text
    numbers = [
        (line.start() + found.start(), found[0])
        for line in re.finditer(r"^expect = .*$", text, re.MULTILINE)
        for found in re.finditer(r'(?<=")-?[0-9.]+(?= (?:ENT|EUR|kWh)")', line[0])
    ]

    for at, number in numbers:
        other = f"{number}7" if "." in number else f"{number}.007"
        changed = text[:at] + other + text[at + len(number) :]
        assert run_scenario(parse_scenario(changed), CONTRACTS).difference is not None, number


@pytest.mark.parametrize(
    "rule",
    [
        "Gap and rate",
        "Minting",
        "Burning",
        "Session",
        "Over-consumption",
        "Losses",
        "Removal",
        "Votes",
        "Bank",
        "Order book",
        "CTT",
        "Bill",
    ],
)
def test_each_rule_has_an_example_that_runs(rule: str) -> None:
    assert any(f"energy: {rule} " in one.where for one in EXAMPLES)


def test_the_bill_of_the_page_adds_up() -> None:
    text = section(page(ENERGY_PAGE), "## Bill")
    # in units of a hundredth of a Wh-price: 15,130 Wh at 50,000 µEUR per kWh
    energy_ueur = 15_130 * 50_000 // 1_000
    before_ueur = energy_ueur + 25_000_000 + 5_000_000
    discount_ueur = before_ueur % 10_000

    assert (340_000 + 15_130) / 1_000 == 355.13
    for number in (energy_ueur, energy_ueur + 25_000_000, before_ueur, discount_ueur):
        assert f"{number / 1_000_000:.4f}" in text
    assert f"**Total due {(before_ueur - discount_ueur) / 1_000_000:.2f}.**" in text


# Lists.


def test_every_operation_is_listed_with_its_fields() -> None:
    text = section(page(SCENARIO_PAGE), "## Operations").partition("\n### ")[0]
    rows = rows_of(text)

    assert {name: rows.get(name) for name in FORMS} == {
        name: written(form.fields) for name, form in FORMS.items()
    }
    assert set(rows) == {*FORMS, VOTE, COMMIT}


def test_every_act_is_listed_with_its_arguments() -> None:
    rows = rows_of(section(page(SCENARIO_PAGE), "### What voters decide"))

    acts = {name: fields for name, (_, fields) in ACTS.items()}
    assert rows == {
        name: written(fields) for name, fields in {**acts, SET_PARAMETER: PARAMETER_FIELDS}.items()
    }


def test_every_parameter_is_listed_with_default_and_range() -> None:
    text = section(page(SCENARIO_PAGE), "### Parameters").partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (.*?) \|", text, re.MULTILINE)

    assert [(name, default, _range(name)) for name, default, _ in rows] == rows
    defaults = EnergyParameters()
    assert {name: default for name, default, _ in rows} == {
        name: render_parameter(name, value_of(defaults, name)) for name in RULES
    }


def _range(name: str) -> str:
    rule = RULES[name]
    if isinstance(rule.written, Unit):
        return f"`{render_parameter(name, rule.low)}` to `{render_parameter(name, rule.high)}`"
    return ", ".join(f"`{word}`" for word in rule.written)


def test_every_query_is_listed_and_no_other() -> None:
    listed = first_column(section(page(SCENARIO_PAGE), "## Queries"))

    assert sorted(listed) == sorted(
        [
            *queries._WHOLE,
            *queries._NAMED,
            *(f"X.{what}" for what in queries._OF_MEMBER),
            *(f"U.{what}" for what in queries._OF_UNIT),
            *(f"ctt.ID.{what}" for what in queries._OF_CTT),
            "X.session.U",
            "X.bill.ID",
            "parameter.NAME",
            "trades",
        ]
    )


def test_every_reason_is_listed_and_no_other() -> None:
    listed = first_column(section(page(SCENARIO_PAGE), "## Reasons"))

    assert listed == [str(reason) for reason in Reason]


def test_every_key_of_the_file_is_listed_and_no_other() -> None:
    text = section(page(SCENARIO_PAGE), "## The file")
    rows = re.findall(r"^\| `(\w+)` \| `?\[?(\w+)\]?`? \|", text, re.MULTILINE)

    def at(where: str) -> set[str]:
        return {key for key, place in rows if place == where}

    assert at("top") == {"name", "source"}
    assert at("network") == scenario_file._OF_NETWORK
    assert at("step") == scenario_file._OF_STEP | scenario_file._OF_WAIT
    assert f"{scenario_file.MAX_STEPS:,} steps" in text


def test_every_kind_and_every_suffix_is_explained() -> None:
    text = section(page(SCENARIO_PAGE), "## Quantities")
    kinds_listed = [
        cell.strip() for cell in re.findall(r"^\| ([^|`*]+?)(?: \||:)", text, re.MULTILINE)
    ]

    assert set(KINDS) == set(kinds._WRITTEN)
    assert set(KINDS.values()) - {"name or none"} <= set(kinds_listed)
    for unit in (ENT, EUR, ENERGY, PRICE, KWH_PRICE):
        for suffix, _ in unit.suffixes:
            assert f' {suffix}"`' in text
    for suffix in ("d", "h", "min", "s", "ms"):
        assert re.search(rf'`"[0-9]+{suffix}"`', text), suffix


def test_every_role_of_a_scenario_is_named() -> None:
    text = section(page(SCENARIO_PAGE), "## The file")

    assert all(f"`{role}`" in text for role in scenario_file.ROLES)


# The table of old faults.


def test_each_of_the_eleven_rows_links_to_its_tests() -> None:
    text = section(page(ENERGY_PAGE), "## Thesis, contract, ours")
    rows = re.findall(r"^\| (\d+) \| .* \| (\[.*\]\(.*\)) \|$", text, re.MULTILINE)
    sources = "".join(
        file.read_text("utf-8")
        for file in (Path(__file__).parent / "energy").rglob("test_old_*.py")
    )

    named = {int(number): set(re.findall(r"`(\w+)`", cell)) for number, cell in rows}

    assert list(named) == list(range(1, 12))
    for number, tests in named.items():
        assert tests == set(re.findall(rf"def (test_row_{number}_\w+)", sources)), number
