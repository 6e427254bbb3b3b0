"""Where the public contract goes wrong (ENERGY §3): each row with its fault planted again.

Every test tells one story twice: on our rules, where it comes out as it should, and with a small
copy of the old fault in their place, where it must not. Row 4 is the order book's.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import msgspec
import pytest

from energy import bank
from energy.governance import contract as votes
from energy.governance import rules as acts
from energy.governance.acts import (
    Act,
    AddVoter,
    RemoveUnit,
    RemoveVoter,
    SetBanker,
    SetParameter,
    Vote,
)
from energy.governance.contract import OpenVote
from energy.locked import Side, burn
from energy.parameters import RULES, EnergyParameters, Rule
from energy.powerchain import contract as calls
from energy.powerchain import reports
from energy.powerchain.calls import Actual, Connect, Consumed, OpenSession, Produced
from energy.powerchain.gap import Gap, Part
from energy.powerchain.records import Session, put_unit, sessions_at
from energy.queries import Answer
from energy.units import RATE
from tangle.accounts import Token, balance
from tangle.address import Address
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tests.community import CONTRACTS
from tests.energy.town import HOUR_MS, MEMBERS, WHO, Town, charged

A, B, C, D, U1 = (WHO[name] for name in ("A", "B", "C", "D", "U1"))


class Planted:
    """Puts an old fault in the place of our rule, for the rest of the test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, module: object, name: str, fault: object) -> None:
        self._patch.setattr(module, name, fault, raising=True)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Planted:
    return Planted(monkeypatch)


def after(story: Callable[[], Town], *keys: str) -> Sequence[Answer]:
    return story().ask(*keys)


def _old_burned(sign: int) -> Callable[[Gap, int, EnergyParameters], Part]:
    """Return burning capped by M instead of B; with -1, formula (4.2) as it is printed."""

    def old(gap: Gap, energy_wh: int, rules: EnergyParameters) -> Part:
        cost_uent = sign * energy_wh * min(gap.rate_ppm, rules.mint_cap_ppm) // 1_000
        after_it = Gap(gap.gap_uent - cost_uent, gap.rate_ppm)
        return Part(1_000 * energy_wh + cost_uent, cost_uent, after_it)

    return old


def test_row_1_burning_costs_more_in_deficit_up_to_its_own_cap(plant: Planted) -> None:
    def story() -> Town:
        town = charged("20 kWh", mint_cap_ppm=200_000)
        town.all("B", Connect(U1, A, 10_000_000))
        town.all("U1", Actual(1_000), Consumed(B, 500))
        return town

    keys = ("rate", "B.ent", "gap")
    assert after(story, *keys) == ["0.95", "15.25 ENT", "18.75 ENT"]  # at 1 + 0.5
    plant(reports, "burned", _old_burned(1))
    assert after(story, *keys) == ["0.95", "15.4 ENT", "18.9 ENT"]  # at 1 + M
    plant(reports, "burned", _old_burned(-1))
    assert after(story, *keys) == ["0.95", "15.6 ENT", "19.1 ENT"]  # at 1 - M


def _old_minted(gap: Gap, energy_wh: int, rules: EnergyParameters) -> Part:
    """Withhold from what is minted, on whichever side of zero the gap is."""
    fee_uent = energy_wh * min(gap.rate_ppm, rules.mint_cap_ppm) // 1_000
    after_it = Gap(gap.gap_uent - fee_uent, gap.rate_ppm)
    return Part(1_000 * energy_wh - fee_uent, fee_uent, after_it)


def test_row_2_a_surplus_closes_instead_of_diverging(plant: Planted) -> None:
    def story() -> Town:
        town = charged("10 kWh")
        town.all("U1", Actual(11_000), *[Produced(B, 10_000)] * 4)
        return town

    assert after(story, "gap", "rate") == ["0 ENT", "0"]
    plant(reports, "minted", _old_minted)
    assert after(story, "gap") == ["-3 ENT"]  # D = 1 became 3


def _old_closing(gap: Gap, energy_wh: int, rules: EnergyParameters) -> Part:
    """Round the closing point down to whole kilowatt-hours."""
    rate_ppm = min(gap.rate_ppm, rules.mint_cap_ppm)
    closing_kwh = gap.gap_uent // rate_ppm if rate_ppm else 0
    fee_uent = min(energy_wh, 1_000 * closing_kwh) * rate_ppm // 1_000
    after_it = Gap(gap.gap_uent - fee_uent, gap.rate_ppm)
    return Part(1_000 * energy_wh - fee_uent, fee_uent, after_it)


def test_row_3_the_gap_closes_exactly_without_a_tail(plant: Planted) -> None:
    def story() -> Town:
        town = charged("10 kWh")
        town.all("U1", Consumed(D, 700))  # D0 = 0.7
        town.all("B", OpenSession(U1, 517_500))  # half a kilowatt-hour at 1.035
        town.all("U1", Consumed(B, 500), Produced(B, 40_000))
        return town

    assert after(story, "gap", "rate") == ["0 ENT", "0"]
    plant(reports, "minted", _old_closing)
    assert after(story, "gap") == ["0.0175 ENT"]


def _old_bank(rows: RowReader, call: bank.BankCall, context: Context) -> Changed | Reason:
    """Burn from the banker's own purse, whoever asks, whomever it names."""
    purse = bank.banker(rows)
    if not isinstance(call, bank.Burn) or purse is None:
        return bank.apply_bank(rows, call, context)
    draft = Draft(rows)
    if balance(rows, Token.EEURO, purse) < call.amount_ueur:
        return Reason.INSUFFICIENT_EEURO
    burn(draft, Token.EEURO, purse, call.amount_ueur, Side.FREE)
    return Changed(draft.changes)


def test_row_5_the_banker_alone_burns_and_only_what_its_owner_locked() -> None:
    def story(town: Town) -> Sequence[Answer]:
        town.all("A", SetBanker(C))
        town.all("C", bank.Mint(B, 5_000_000), bank.Mint(C, 5_000_000))
        town.do("D", bank.Burn(C, 5_000_000))
        town.all("B", bank.Lock(3_000_000))
        town.do("C", bank.Burn(B, 2_000_000))
        return town.ask("C.eeuro", "B.eeuro", "B.eeuro_locked", "total.eeuro")

    faulty = {**CONTRACTS, bank.NAME: replace(bank.CONTRACT, apply=_old_bank)}

    assert story(Town()) == ["5 EUR", "2 EUR", "1 EUR", "8 EUR"]
    assert story(Town(contracts=faulty)) == ["0 EUR", "2 EUR", "3 EUR", "5 EUR"]


def with_voters(count: int) -> Town:
    """Return a town in which the first of its people vote."""
    town = Town()
    for number in range(1, count):
        for voter in MEMBERS[:number]:
            town.do(voter, AddVoter(WHO[MEMBERS[number]]))
    town.expect({"voters": list(MEMBERS[:count])})
    return town


def ballots(town: Town, voters: str, act: Act) -> None:
    for voter in voters:
        town.all(voter, act)


def test_row_6_four_of_seven_decide(plant: Planted) -> None:
    def story() -> Town:
        town = with_voters(7)
        ballots(town, "ABCD", SetBanker(D))
        return town

    def old(vote: OpenVote, entitled: AbstractSet[bytes]) -> bool:
        return 3 * sum(one in entitled for one in vote.yes) > 2 * len(entitled)

    assert after(story, "banker") == ["D"]
    plant(votes, "_passes", old)
    assert after(story, "banker") == ["none"]


def test_row_6_who_was_removed_counts_no_more(plant: Planted) -> None:
    def story() -> Town:
        town = with_voters(3)
        ballots(town, "C", SetBanker(D))
        ballots(town, "AB", RemoveVoter(C))
        ballots(town, "A", SetBanker(D))
        return town

    def old(vote: OpenVote, entitled: AbstractSet[bytes]) -> bool:
        return 2 * len(vote.yes) > len(entitled)

    assert after(story, "voters", "banker") == [["A", "B"], "none"]
    plant(votes, "_passes", old)
    assert after(story, "banker") == ["D"]


def test_row_6_who_is_added_twice_counts_once(plant: Planted) -> None:
    def story() -> Town:
        town = with_voters(2)
        ballots(town, "AB", AddVoter(B))
        ballots(town, "B", SetBanker(B))
        return town

    def old(vote: OpenVote, entitled: AbstractSet[bytes]) -> bool:
        counted = [2 if one == B else 1 for one in vote.yes if one in entitled]
        return 2 * sum(counted) > len(entitled) + (B in entitled)

    assert after(story, "voters", "banker") == [["A", "B"], "none"]
    plant(votes, "_passes", old)
    assert after(story, "banker") == ["B"]


def test_row_6_nobody_votes_for_another(plant: Planted) -> None:
    def story(town: Town) -> Reason | None:
        ballots(town, "A", SetBanker(D))
        return town.do("D", SetBanker(D))

    ours, theirs = with_voters(2), with_voters(2)

    assert story(ours) is Reason.NOT_ALLOWED
    ours.expect({"banker": "none"})
    plant(votes, "voters", lambda _rows: {A, B, D})
    plant(votes, "is_voter", lambda _rows, one: one in {A, B, D})
    assert story(theirs) is None
    theirs.expect({"banker": "D"})


def test_row_7_an_expired_session_blocks_nobody(plant: Planted) -> None:
    def story() -> Reason | None:
        town = charged("10 kWh")
        town.all("B", OpenSession(U1, 2_000_000))
        town.wait(2 * HOUR_MS)
        return town.do("B", OpenSession(U1, 3_000_000))

    def old(rows: RowReader, unit: Address, member: Address) -> tuple[Session, ...]:
        found = sessions_at(rows, unit, member)
        return tuple(msgspec.structs.replace(one, expires_at_ms=2**62) for one in found)

    assert story() is None
    plant(calls, "sessions_at", old)
    assert story() is Reason.SESSION_EXISTS


def test_row_7_what_is_drawn_after_the_expiry_is_booked(plant: Planted) -> None:
    def story() -> Town:
        town = charged("10 kWh")
        town.all("B", OpenSession(U1, 2_000_000), Connect(U1, A, 5_000_000))
        town.wait(2 * HOUR_MS)
        town.all("U1", Consumed(B, 1_000))
        return town

    keys = ("total.energy", "B.ent", "B.session.U1", "gap")
    assert after(story, *keys) == ["9 kWh", "5 ENT", "2 ENT", "0 ENT"]
    plant(reports, "_over", lambda _draft, drawing, *_: drawing)
    assert after(story, *keys) == ["10 kWh", "6 ENT", "2 ENT", "0 ENT"]


def test_row_8_removing_a_unit_leaves_no_phantom_energy_and_no_session(plant: Planted) -> None:
    def story() -> Town:
        town = charged("10 kWh")
        town.all("B", OpenSession(U1, 2_000_000))
        town.all("A", RemoveUnit(U1))
        return town

    def old(draft: Draft, address: Address) -> list[Event]:
        put_unit(draft, address, None)
        return []

    keys = ("total.energy", "B.ent_locked", "B.ent", "rate")
    assert after(story, *keys) == ["0 kWh", "0 ENT", "8 ENT", "0.5"]
    plant(acts, "remove_unit", old)
    assert after(story, *keys) == ["10 kWh", "2 ENT", "6 ENT", "0"]


def test_row_9_a_bad_parameter_is_refused_at_the_vote(plant: Planted) -> None:
    def story(town: Town) -> Reason | None:
        town.all("U1", Actual(10_000))  # D = 30, R = 1.5
        refused = town.do("A", SetParameter("M", 2_000_000))
        town.all("U1", Produced(B, 1_000))
        return refused

    assert story(charged("40 kWh")) is Reason.OUT_OF_RANGE
    plant(acts, "RULES", {**RULES, "M": Rule("mint_cap_ppm", 0, 10**12, RATE)})
    with pytest.raises(AssertionError, match="-500000 base units"):
        story(charged("40 kWh"))


def test_row_10_both_shares_add_up_to_what_is_minted(plant: Planted) -> None:
    def story() -> Town:
        return charged("0.001 kWh", owner_share_ppm=333_333)

    def old(amount: int, weights: Sequence[int]) -> list[int]:
        return [amount * one // sum(weights) for one in weights]

    keys = ("B.ent", "C.ent", "total.ent")
    assert after(story, *keys) == ["0.000667 ENT", "0.000333 ENT", "0.001 ENT"]
    plant(reports, "split", old)
    lost = ["0.000666 ENT", "0.000333 ENT", "0.000999 ENT", "-0.000001 ENT"]
    assert after(story, *keys, "gap") == lost


def test_row_11_the_member_pays_first_up_to_the_limit_it_signed(plant: Planted) -> None:
    def story() -> Town:
        town = charged("10 kWh")
        town.all("B", Connect(U1, A, 3_000_000))
        town.all("U1", Consumed(B, 4_000))
        return town

    keys = ("B.ent", "gap", "total.energy")
    assert after(story, *keys) == ["5 ENT", "1 ENT", "6 kWh"]
    plant(reports, "energy_for", lambda _amount, _rate: 0)
    assert after(story, *keys) == ["8 ENT", "4 ENT", "6 kWh"]  # everybody pays


def test_a_ballot_against_is_a_ballot_and_no_veto() -> None:
    town = with_voters(3)
    draft = Draft(town.rows)
    assert town.within(draft, "A", Vote(SetBanker(D), yes=False)) is None

    ballots(town, "BC", SetBanker(D))

    town.expect({"banker": "D"})
