"""What voters are shown of an act before they decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.bank import Lock
from energy.forms.fields import Known
from energy.forms.operations import act
from energy.forms.rendering import Written, written_act
from energy.governance.acts import (
    Act,
    AddVoter,
    ConfirmDevice,
    CoordinatorKeysAct,
    FundBurn,
    FundMint,
    NamedAct,
    RegisterUnit,
    RemoveUnit,
    RemoveVoter,
    SetBanker,
    SetCohort,
    SetParameter,
)
from energy.governance.preview import Difference, Preview, preview
from energy.members import voters
from energy.parameters import RULES
from energy.powerchain.registry import gap_without
from energy.units import RATE, render
from tangle.address import encode_address
from tangle.keys import PublicKey
from tangle.outcomes import Reason
from tests.community import key
from tests.energy.town import NAMES, WHO, Town, charged

KEY = key(1).public
KNOWN = Known(WHO, {KEY.hex(): PublicKey(KEY)}, {}, 0)
B = encode_address(WHO["B"])

ACTS: list[tuple[Act, str, dict[str, Written]]] = [
    (AddVoter(WHO["B"]), "add_voter", {"member": "B"}),
    (RemoveVoter(WHO["B"]), "remove_voter", {"member": "B"}),
    (
        RegisterUnit(WHO["U1"], WHO["C"], 12_500, 950_000),
        "register_unit",
        {"unit": "U1", "owner": "C", "capacity": "12.5 kWh", "efficiency": "0.95"},
    ),
    (RemoveUnit(WHO["U1"]), "remove_unit", {"unit": "U1"}),
    (SetBanker(WHO["B"]), "set_banker", {"member": "B"}),
    (ConfirmDevice(WHO["U1"]), "confirm_device", {"device": "U1"}),
    (
        SetCohort("home", tuple(sorted((WHO["B"], WHO["C"]))), "bft", 60_000, 500),
        "cohort",
        {
            "name": "home",
            "nodes": ["B", "C"],
            "quorum": "bft",
            "max_stale": "1min",
            "skew": "500ms",
        },
    ),
    (FundMint(WHO["B"], 1_500_000), "fund_mint", {"member": "B", "amount": "1.5 EUR"}),
    (FundBurn(WHO["B"], 1), "fund_burn", {"member": "B", "amount": "0.000001 EUR"}),
    (CoordinatorKeysAct((KEY,), 1), "coordinator_keys", {"keys": [KEY.hex()], "k": "1"}),
]


@pytest.mark.parametrize(("one", "name", "arguments"), ACTS, ids=lambda one: str(one)[:20])
def test_an_act_is_written_as_a_ballot_on_it_is(
    one: Act, name: str, arguments: dict[str, Written]
) -> None:
    assert written_act(one, NAMES) == (name, arguments)


@pytest.mark.parametrize(("one", "name", "arguments"), ACTS, ids=lambda one: str(one)[:20])
def test_what_is_written_is_the_same_act_again(
    one: Act, name: str, arguments: dict[str, Written]
) -> None:
    typed: dict[str, object] = {**arguments, "k": 1} if "k" in arguments else {**arguments}

    assert act(name, typed, KNOWN) == one


@given(st.sampled_from([(name, rule.low, rule.high) for name, rule in RULES.items()]), st.data())
def test_any_value_of_a_parameter_is_written_and_read_back(
    rule: tuple[str, int, int], data: st.DataObject
) -> None:
    name, low, high = rule
    one = SetParameter(name, data.draw(st.integers(low, high)))

    written, arguments = written_act(one, NAMES)

    assert act(written, {**arguments}, KNOWN) == one


def test_what_this_version_does_not_know_is_shown_as_it_stands() -> None:
    assert written_act(SetParameter("Q", 7), NAMES)[1] == {"name": "Q", "value": "7"}
    assert written_act(NamedAct("dance"), NAMES) == ("named", {})


def would(town: Town, one: Act) -> Preview:
    before = dict(town.rows.scan(b""))
    found = preview(town.rows, one, voters(town.rows))
    assert dict(town.rows.scan(b"")) == before, "a preview changes nothing"
    return found


def test_removing_a_unit_shows_the_gap_and_rate_that_follow() -> None:
    town = charged("10 kWh")

    found = would(town, RemoveUnit(WHO["U1"]))

    rate = render(gap_without(town.rows, WHO["U1"]).rate_ppm, RATE)
    assert found.differences == (
        Difference("total.energy", "10 kWh", "0 kWh"),
        Difference("gap", "0 ENT", "10 ENT"),
        Difference("rate", "0", rate),
    )
    town.all("A", RemoveUnit(WHO["U1"]))
    assert town.ask("rate") == [rate]


def test_a_parameter_shows_the_rate_it_brings() -> None:
    town = charged("10 kWh")
    town.all("A", RemoveUnit(WHO["U1"]))

    found = would(town, SetParameter("C", 10_000))

    assert found.differences == (
        Difference("parameter.C", "0.05", "0.01"),
        Difference("rate", "0.5", "0.1"),
    )


def test_voters_are_shown_before_and_after() -> None:
    town = Town()
    a, b = sorted((encode_address(WHO["A"]), B)), [encode_address(WHO["A"])]

    assert would(town, AddVoter(WHO["B"])).differences == (Difference("voters", b, a),)
    assert would(town, AddVoter(WHO["A"])) == Preview(None)
    assert would(town, RemoveVoter(WHO["B"])) == Preview(None)
    town.all("A", AddVoter(WHO["B"]))
    assert would(town, RemoveVoter(WHO["B"])).differences == (Difference("voters", a, b),)


def test_money_is_shown_in_all_and_of_its_member() -> None:
    town = Town()
    town.all("A", FundMint(WHO["B"], 5_000_000))
    town.all("B", Lock(2_000_000))

    assert would(town, FundBurn(WHO["B"], 2_000_000)).differences == (
        Difference("total.eeuro", "5 EUR", "3 EUR"),
        Difference(f"{B}.eeuro_locked", "2 EUR", "0 EUR"),
    )
    assert would(town, SetBanker(WHO["B"])).differences == (Difference("banker", "none", B),)


@pytest.mark.parametrize(
    "one",
    [RegisterUnit(WHO["U2"], WHO["C"], 5), ConfirmDevice(WHO["U1"]), CoordinatorKeysAct((KEY,), 1)],
)
def test_what_no_query_shows_changes_no_answer(one: Act) -> None:
    assert would(charged("1 kWh"), one) == Preview(None)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (RemoveUnit(WHO["U2"]), Reason.NOT_A_UNIT),
        (RemoveVoter(WHO["A"]), Reason.LAST_VOTER),
        (SetParameter("C", 10**9), Reason.OUT_OF_RANGE),
        (NamedAct("dance"), Reason.NO_SUCH_ACT),
    ],
)
def test_what_is_impossible_says_why(one: Act, reason: Reason) -> None:
    assert would(Town(), one) == Preview(reason)
