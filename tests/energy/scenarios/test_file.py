"""Scenario files: what they may say, and how clearly a wrong one is refused."""

import pytest

from energy.forms.operations import FORMS, VOTE
from energy.scenarios.file import Wait, parse_scenario
from energy.scenarios.run import compare, run_scenario
from tangle.errors import InvalidError
from tests.community import CONTRACTS

FOUNDED = """
name = "small"
[network]
voter = "V"
eeuro = { A = "5 EUR" }
[[step]]
by = "A"
do = "transfer.eeuro"
to = "B"
amount = "2 EUR"
expect = { "A.eeuro" = "3 EUR", "B.eeuro" = "2.0 EUR" }
"""


def test_roles_follow_from_what_everyone_does() -> None:
    scenario = parse_scenario(
        """
        name = "roles"
        [network]
        voter = "V"
        roles = { Z = "edge" }
        [[step]]
        by = "V"
        do = "governance.vote"
        act = "register_unit"
        arguments = { unit = "U", owner = "O", capacity = "1 kWh" }
        [[step]]
        by = "A"
        do = "energy.connect"
        unit = "U"
        edge = "E"
        [[step]]
        by = "M"
        do = "ctt.consume"
        energy = "1 kWh"
        refused = "NOT_CONFIRMED"
        """
    )

    assert scenario.roles == {
        "V": "voter",
        "U": "meter",
        "O": "member",
        "A": "member",
        "E": "edge",
        "M": "meter",
        "Z": "edge",
    }


def test_time_passes_where_the_file_says_so() -> None:
    text = FOUNDED + '[[step]]\nwait = "2h"\nexpect = { "total.eeuro" = "5 EUR" }\n'

    scenario = parse_scenario(text)

    assert scenario.steps[-1] == Wait(2, "", 7_200_000, scenario.steps[-1].expect)
    assert run_scenario(scenario, CONTRACTS).difference is None


def test_the_first_difference_is_named() -> None:
    report = run_scenario(parse_scenario(FOUNDED.replace("3 EUR", "3.000001 EUR")), CONTRACTS)

    assert report.difference is not None
    assert (report.steps, report.difference.step, report.difference.key) == (0, 1, "A.eeuro")
    assert (report.difference.expected, report.difference.found) == ("3.000001 EUR", "3 EUR")


@pytest.mark.parametrize(("expected", "found"), [("INSUFFICIENT_ENT", "none"), ("SELF", "none")])
def test_a_step_that_is_not_refused_as_it_must_be_is_a_difference(
    expected: str, found: str
) -> None:
    text = FOUNDED.replace('amount = "2 EUR"', f'amount = "2 EUR"\nrefused = "{expected}"')

    difference = run_scenario(parse_scenario(text), CONTRACTS).difference

    assert difference is not None
    assert (difference.key, difference.expected, difference.found) == ("refused", expected, found)


def test_a_step_that_is_refused_against_expectation_is_a_difference() -> None:
    difference = run_scenario(
        parse_scenario(FOUNDED.replace('amount = "2 EUR"', 'amount = "9 EUR"')), CONTRACTS
    ).difference

    assert difference is not None
    assert (difference.expected, difference.found) == ("none", "INSUFFICIENT_EEURO")


@pytest.mark.parametrize(
    ("expected", "found", "is_same"),
    [
        ("10.50 ENT", "10.5 ENT", True),
        ("10.5 ENT", "10.5 EUR", False),
        ("0.1", "0.10", True),
        ("0.1", "0.10000000000000001", False),
        ([["A", "buy", "8.10 ENT"]], [["A", "buy", "8.1 ENT"]], True),
        ([], [["A"]], False),
        ("none", "none", True),
    ],
)
def test_quantities_are_compared_as_exact_numbers(
    expected: object, found: str | list[list[str]], is_same: bool
) -> None:
    assert (compare(1, "key", expected, found) is None) is is_same


def test_voters_may_stand_in_any_order() -> None:
    assert compare(1, "voters", ["B", "A"], ["A", "B"]) is None


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("name =", "nom =", "no key 'nom'"),
        ('name = "small"', "name = 3", "name: 3 must be written as text"),
        ("name =", "name", "scenario: "),
        ("[[step]]", "[[stop]]", "no key 'stop'"),
        ('by = "A"', "", "step 1: 'by' is missing"),
        ('by = "A"', 'by = "1A"', "'1A' is no name"),
        ('by = "A"', 'by = "total"', "'total' is no name"),
        ("transfer.eeuro", "transfer.gold", "no operation 'transfer.gold'"),
        ("2 EUR", "2 ENT", "step 1, transfer.eeuro: amount: money '2 ENT'"),
        ('"2 EUR"', "2", "amount: 2 must be written as text, in quotes"),
        ('to = "B"', "", "to is missing"),
        ('to = "B"', 'to = "B"\nfor = "C"', "no field 'for'"),
        ('"3 EUR"', "3.0", "A.eeuro: 3.0 must be written as text"),
        ('"A.eeuro"', '"Z.eeuro"', "nobody is named 'Z'"),
        ('"A.eeuro"', '"A.gold"', "query 'A.gold': there is no such key"),
        ('amount = "2 EUR"', 'amount = "2 EUR"\nrefused = "BORED"', "'BORED' is no reason"),
        ('amount = "2 EUR"', 'amount = "2 EUR"\nsequence = "1"', "sequence: '1' is no whole"),
        ('eeuro = { A = "5 EUR" }', 'roles = { A = "king" }', "'king' is none of member"),
        ('eeuro = { A = "5 EUR" }', 'parameters = { C = "2" }', "C = '2': OUT_OF_RANGE"),
        ('eeuro = { A = "5 EUR" }', 'parameters = { G = "2" }', "G = '2': NO_SUCH_ACT"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_rule(old: str, new: str, rule: str) -> None:
    with pytest.raises(InvalidError) as refused:
        run_scenario(parse_scenario(FOUNDED.replace(old, new, 1)), CONTRACTS)

    assert rule in str(refused.value)


@pytest.mark.parametrize("do", [*FORMS, VOTE])
def test_every_operation_says_which_of_its_fields_is_missing(do: str) -> None:
    text = f'name = "x"\n[[step]]\nby = "A"\ndo = "{do}"\n'

    with pytest.raises(InvalidError) as refused:
        run_scenario(parse_scenario(text), CONTRACTS)

    assert f"step 1, {do}: " in str(refused.value)


@pytest.mark.parametrize("text", ["a =", "a = " + "[" * 20_000, "a = " + "9" * 5_000], ids=range(3))
def test_text_that_cannot_be_read_as_toml_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="scenario"):
        parse_scenario(text)
