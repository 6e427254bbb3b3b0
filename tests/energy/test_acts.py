"""What votes decide: each act with what it does and what refuses it, and recounts."""

import pytest

from energy.bank import Burn, Lock, Mint
from energy.governance.acts import (
    Act,
    AddVoter,
    ConfirmDevice,
    FundBurn,
    FundMint,
    NamedAct,
    RegisterUnit,
    RemoveUnit,
    RemoveVoter,
    SetBanker,
    SetParameter,
    Vote,
)
from energy.governance.contract import CONTRACT, LAPSE_MS, open_votes
from energy.members import is_confirmed
from energy.parameters import (
    RULES,
    EnergyParameters,
    parameters,
    parse_parameter,
    render_parameter,
    value_of,
)
from energy.powerchain.calls import Actual, Produced
from energy.units import DAY_MS, HOUR_MS, PPM
from tangle.accounts import identity
from tangle.codec import encode
from tangle.errors import InvalidError, MalformedBytesError
from tangle.outcomes import Reason
from tangle.rows import Draft
from tests.energy.town import WHO, Town, charged, town_with_battery

A, B, C, D, U1, U2, R1, X = (WHO[name] for name in ("A", "B", "C", "D", "U1", "U2", "R1", "X"))
EUR = 1_000_000


def three_voters() -> Town:
    town = Town()
    town.all("A", AddVoter(B), AddVoter(C))
    town.all("B", AddVoter(C))
    town.expect({"voters": ["A", "B", "C"]})
    return town


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (AddVoter(X), Reason.UNKNOWN_MEMBER),
        (AddVoter(U1), Reason.NOT_ALLOWED),
        (RemoveVoter(X), Reason.UNKNOWN_MEMBER),
        (RemoveVoter(A), Reason.LAST_VOTER),
        (RegisterUnit(U2, X, 1), Reason.UNKNOWN_MEMBER),
        (RegisterUnit(U2, R1, 1), Reason.UNKNOWN_MEMBER),
        (RegisterUnit(B, B, 1), Reason.SELF),
        (RegisterUnit(U1, B, 1), Reason.DEVICE_KNOWN),
        (RegisterUnit(U2, B, 0), Reason.OUT_OF_RANGE),
        (RegisterUnit(U2, B, 10**12 + 1), Reason.OUT_OF_RANGE),
        (RegisterUnit(U2, B, 1, 0), Reason.OUT_OF_RANGE),
        (RegisterUnit(U2, B, 1, PPM + 1), Reason.OUT_OF_RANGE),
        (RemoveUnit(U2), Reason.NOT_A_UNIT),
        (SetBanker(X), Reason.UNKNOWN_MEMBER),
        (SetBanker(U1), Reason.UNKNOWN_MEMBER),
        (ConfirmDevice(X), Reason.UNKNOWN_MEMBER),
        (SetParameter("Q", 1), Reason.NO_SUCH_ACT),
        (NamedAct("abolish"), Reason.NO_SUCH_ACT),
        (FundMint(X, 1), Reason.UNKNOWN_MEMBER),
        (FundMint(B, 0), Reason.TOO_SMALL),
        (FundMint(B, 2**63 - 1), Reason.OUT_OF_RANGE),
        (FundBurn(B, 0), Reason.TOO_SMALL),
        (FundBurn(B, 1), Reason.INSUFFICIENT_EEURO),
    ],
    ids=lambda one: str(one) if isinstance(one, Reason) else type(one).__name__,
)
def test_an_impossible_act_is_refused_at_the_ballot_whatever_it_says(
    act: Act, reason: Reason
) -> None:
    town = town_with_battery()
    town.all("A", SetBanker(C))
    town.all("C", Mint(B, EUR))
    before = dict(town.rows.scan(b""))

    assert town.do("A", act) is reason
    assert town.within(Draft(town.rows), "A", Vote(act, yes=False)) is reason
    assert dict(town.rows.scan(b"")) == before


@pytest.mark.parametrize("name", RULES)
def test_a_parameter_stays_in_its_range(name: str) -> None:
    rule, town = RULES[name], Town()

    for value in (rule.low, rule.high):
        assert town.do("A", SetParameter(name, value)) is None
        assert value_of(parameters(town.rows), name) == value
        text = render_parameter(name, value)
        assert town.ask(f"parameter.{name}") == [text]
        assert parse_parameter(name, text) == value
    for value in (rule.low - 1, rule.high + 1, -(2**63) + 1):
        assert town.do("A", SetParameter(name, value)) is Reason.OUT_OF_RANGE


def test_parameters_have_the_defaults_of_the_design() -> None:
    assert [render_parameter(one, value_of(EnergyParameters(), one)) for one in RULES] == [
        *("0.5", "0.5", "0.05", "2h", "0.2", "bonus", "1d", "2d", "resting", "on"),
    ]


def test_the_grace_for_late_reports_follows_the_settlement_period_until_voted() -> None:
    town = Town()
    town.all("A", SetParameter("settlement_period", HOUR_MS))
    town.expect({"parameter.report_grace": "2h"})

    town.all("A", SetParameter("report_grace", 0), SetParameter("settlement_period", DAY_MS))

    town.expect({"parameter.report_grace": "0d"})


@pytest.mark.parametrize(
    ("name", "text"), [("Q", "1"), ("M", "half"), ("H", "2"), ("surplus", "some")]
)
def test_what_is_no_parameter_is_not_read(name: str, text: str) -> None:
    with pytest.raises(InvalidError):
        parse_parameter(name, text)


def test_a_parameter_holds_after_the_last_operation_of_its_milestone() -> None:
    town = charged("40 kWh")
    town.all("U1", Actual(38_000))  # D = 2, rate 0.1
    assert town.within(Draft(town.rows), "A", SetParameter("C", 500_000)) is None
    assert town.within(Draft(town.rows), "A", SetParameter("C", 100_000)) is None
    assert town.within(Draft(town.rows), "A", SetParameter("F", 0)) is None
    town.expect({"rate": "0.1", "parameter.C": "0.05", "parameter.F": "0.2"})
    assert town.within(Draft(town.rows), "U1", Produced(B, 10_000)) is None
    town.expect({"gap": "1 ENT", "rate": "0.1"})

    town.wait(0)

    town.expect({"parameter.C": "0.1", "parameter.F": "0", "rate": "0.1", "gap": "1 ENT"})
    assert list(town.rows.scan(b"governance/pending/")) == []
    town.all("A", SetParameter("C", 200_000))
    town.expect({"rate": "0.2"})


def test_back_to_the_defaults_is_no_row() -> None:
    town = Town()

    town.all("A", SetParameter("M", 1), SetParameter("M", 500_000))

    assert town.rows.get(b"parameters") is None


def test_without_bonus_a_surplus_stays() -> None:
    town = charged("10 kWh")
    town.all("A", SetParameter("surplus", 1))
    town.all("U1", Actual(11_000), Produced(B, 10_000))

    town.expect({"gap": "-1 ENT", "rate": "0.05", "B.ent": "16 ENT", "parameter.surplus": "none"})


def test_voters_mint_and_burn_without_a_banker_unless_it_is_switched_off() -> None:
    town = Town()
    town.all("A", FundMint(B, 5 * EUR))
    town.all("B", Lock(2 * EUR))
    town.all("A", FundBurn(B, EUR))
    town.expect({"B.eeuro": "3 EUR", "B.eeuro_locked": "1 EUR", "total.eeuro": "4 EUR"})

    town.all("A", SetParameter("community_fund", 0))

    assert town.do("A", FundMint(B, EUR)) is Reason.NO_SUCH_ACT
    assert town.do("A", FundBurn(B, EUR)) is Reason.NO_SUCH_ACT


def test_a_new_banker_takes_the_place_of_the_old() -> None:
    town = Town()
    town.all("A", SetBanker(B), SetBanker(C))

    assert town.do("B", Mint(D, EUR)) is Reason.NOT_ALLOWED
    town.all("C", Mint(D, EUR))
    town.expect({"banker": "C"})


def test_voters_vouch_for_a_device() -> None:
    town = Town()
    assert not is_confirmed(town.rows, R1)

    town.all("A", ConfirmDevice(R1))

    assert is_confirmed(town.rows, R1)


def test_a_voter_that_is_removed_is_a_member_again() -> None:
    town = three_voters()
    town.all("A", RemoveVoter(C))
    town.all("B", RemoveVoter(C))

    known = identity(town.rows, C)
    assert known is not None
    assert known.role == "member"
    assert town.do("C", AddVoter(D)) is Reason.NOT_ALLOWED


# Recounts.


def test_fewer_voters_let_an_open_vote_pass() -> None:
    town = three_voters()
    town.all("A", SetBanker(D))  # 1 of 3
    town.all("B", RemoveVoter(B))
    town.all("C", RemoveVoter(C), RemoveVoter(B))  # B goes: 1 of 2 for the banker
    town.expect({"banker": "none", "voters": ["A", "C"]})

    town.all("A", RemoveVoter(C))  # C goes: 1 of 1

    town.expect({"banker": "D", "voters": ["A"]})
    assert open_votes(town.rows) == []


def test_each_act_of_a_recount_counts_for_the_votes_after_it() -> None:
    town = three_voters()
    for voter in "AB":
        town.all(voter, AddVoter(D))
    town.all("A", RemoveVoter(C))
    town.all("B", RemoveVoter(C), SetBanker(B))
    town.all("C", SetBanker(B))  # two of four want either
    town.expect({"voters": ["A", "B", "C", "D"], "banker": "none"})

    for voter in "ABC":
        town.all(voter, RemoveVoter(D))  # two of three would; but C is the first to go

    town.expect({"voters": ["A", "B"], "banker": "none"})
    assert [one.act for one in open_votes(town.rows)] == [SetBanker(B)]


def test_a_recount_is_made_in_the_order_of_opening() -> None:
    town = three_voters()
    town.all("A", SetBanker(C), SetBanker(D))
    town.all("B", RemoveVoter(B))
    town.all("C", RemoveVoter(B), RemoveVoter(C))
    town.all("A", RemoveVoter(C))

    town.expect({"voters": ["A"], "banker": "D"})  # the later opened, the later carried out


def test_what_a_recount_passes_and_has_become_impossible_is_void() -> None:
    town = three_voters()
    town.all("A", RemoveVoter(A), RegisterUnit(U1, D, 1_000), RegisterUnit(U1, D, 2_000))
    town.all("B", RemoveVoter(B))
    town.all("C", RemoveVoter(B), RemoveVoter(C))

    town.all("A", RemoveVoter(C))  # A alone now: it would be gone, then U1 comes, but once

    town.expect({"voters": ["A"], "U1.owner": "D"})
    named = [(one.name, dict(one.fields).get("reason")) for one in town.events]
    assert named.count(("governance.void", "LAST_VOTER")) == 1
    assert named.count(("governance.void", "DEVICE_KNOWN")) == 1
    assert open_votes(town.rows) == []


def test_the_ballot_of_a_voter_that_comes_back_counts_again() -> None:
    town = three_voters()
    town.all("C", SetBanker(D))
    for voter in "AB":
        town.all(voter, RemoveVoter(C))
    town.all("A", SetBanker(D))
    town.expect({"banker": "none"})

    for voter in "AB":
        town.all(voter, AddVoter(C))

    town.expect({"banker": "D"})


def test_a_lapsed_vote_is_not_recounted() -> None:
    town = three_voters()
    town.all("A", SetBanker(D))
    town.now_ms += LAPSE_MS  # no milestone has ended since
    for who in (C, B):
        for voter in "AB":
            town.within(Draft(town.rows), voter, RemoveVoter(who))

    town.expect({"voters": ["A"], "banker": "none"})
    town.wait(0)
    assert open_votes(town.rows) == []


def test_adding_a_voter_twice_or_removing_a_member_changes_nothing() -> None:
    town = Town()

    town.all("A", AddVoter(A), RemoveVoter(B))

    town.expect({"voters": ["A"]})


# The spelling of acts.


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(("add_voter", b"short"), id="short address"),
        pytest.param(("add_voter",), id="no member"),
        pytest.param(("secede", A), id="unknown tag"),
        pytest.param(("set_parameter", "M", 0.5), id="a float"),
        pytest.param(("set_parameter", "M B", 1), id="a name with a space"),
        pytest.param(("set_parameter", "M", 2**63), id="beyond the range"),
        pytest.param(("fund_mint", A, -1), id="negative"),
        pytest.param(("register_unit", A, B, 1), id="one field too few"),
    ],
)
def test_what_is_no_act_is_malformed(act: object) -> None:
    with pytest.raises(MalformedBytesError):
        CONTRACT.decode(encode(("vote", act, True)))


def test_the_bankers_burn_needs_a_lock() -> None:
    town = Town()
    town.all("A", SetBanker(C))
    town.all("C", Mint(B, EUR))

    assert town.do("C", Burn(B, EUR)) is Reason.INSUFFICIENT_EEURO
