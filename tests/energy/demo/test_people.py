from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from energy.bank import Burn, Lock, Mint, bank_operation
from energy.demo.charter import CHANGE_MS, SETTLEMENT_PERIOD, SHARES_PPM, Charter, missing_acts
from energy.demo.people import (
    DEAREST_UEUR,
    KEPT_UEUR,
    LOW_UEUR,
    MEMBER_LIMIT_UENT,
    OWN_NEED_UENT,
    PAID_IN_UEUR,
    PLENTY_UEUR,
    Banker,
    Device,
    Household,
    Owner,
    Person,
    Voter,
    decide,
    worth_ueur,
)
from energy.demo.sight import AccountSeen, SessionSeen, Sight, UnitSeen, VoteSeen, see
from energy.governance.acts import AddVoter, RemoveVoter, SetParameter, Vote
from energy.governance.contract import vote_operation
from energy.locked import total, total_energy_wh
from energy.market.contract import Buy, Sell, market_operation
from energy.powerchain.calls import (
    Connect,
    Consumed,
    Delegate,
    OpenSession,
    Produced,
    energy_operation,
)
from energy.powerchain.records import gap_of, sessions_of, unit_at
from energy.units import HOUR_MS, PPM, UENT_PER_WH
from tangle.accounts import Token
from tangle.contracts import Context
from tangle.outcomes import Reason
from tangle.rows import Draft
from tangle.transaction import Operation, TransactionId
from tests.community import START_MS
from tests.energy.town import WHO, Town

UNIT, EDGE = WHO["U1"], WHO["A"]
CHARTER = Charter(
    UNIT,
    WHO["C"],
    WHO["F"],
    60_000,
    900_000,
    {"H": 12 * HOUR_MS, "settlement_period": HOUR_MS},
)
PEOPLE: dict[str, tuple[Person, ...]] = {
    "A": (Voter(WHO["A"], CHARTER, proposes=True),),
    "G": (Voter(WHO["G"], CHARTER, proposes=False),),
    "F": (Banker(WHO["F"]),),
    "C": (Owner(WHO["C"], UNIT, EDGE),),
    "U1": (Device(UNIT, EDGE),),
    **{name: (Household(WHO[name], UNIT, EDGE),) for name in ("B", "D", "E")},
}
MEMBERS = tuple(WHO[name] for name in ("B", "C", "D", "E"))
HOME = Household(WHO["B"], UNIT, EDGE)
HALF_FULL = UnitSeen(60_000, 30_000, 20_000, EDGE)
HOLDING = AccountSeen(eeuro_ueur=100_000_000, limit_uent=MEMBER_LIMIT_UENT)


class Days:
    """Days of a town: everybody acts once a milestone, the battery charges by day."""

    def __init__(self) -> None:
        self.town = Town()
        self.town.all("A", AddVoter(WHO["G"]))
        self.rng = Random(5)
        self.applied: Counter[str] = Counter()
        self.refused: Counter[Reason] = Counter()
        self.issued = 0

    def run(self, hours: int) -> None:
        for _ in range(hours):
            sight = see(self.town.rows, UNIT, MEMBERS)
            for name, parts in PEOPLE.items():
                for part in parts:
                    for one in decide(part, sight, self.town.now_ms, self.rng):
                        self.perform(name, one)
            self.meter()
            self.town.wait(HOUR_MS)

    def meter(self) -> None:
        unit = unit_at(self.town.rows, UNIT)
        if unit is None:
            return
        if self.town.now_ms // HOUR_MS % 24 in range(8, 17):
            for name, wh in (("B", 2_500), ("D", 1_500)):
                if unit.stored_wh + 4_000 <= unit.capacity_wh:
                    self.perform("U1", energy_operation(Produced(WHO[name], wh)))
        else:
            for name in ("B", "D", "E"):
                wh = min(500, unit.stored_wh // 4)
                self.perform("U1", energy_operation(Consumed(WHO[name], wh)))

    def perform(self, by: str, operation: Operation) -> None:
        self.issued += 1
        town, contract = self.town, self.town.contracts[operation.contract]
        base = town.context(by)
        tx_id = TransactionId(self.issued.to_bytes(32, "big"))
        context = Context(base.issuer, base.address, tx_id, base.index, base.timestamp_ms)
        call = contract.decode(operation.call)
        decided = contract.apply(Draft(town.rows), call, context)
        if isinstance(decided, Reason):
            self.refused[decided] += 1
            return
        town.rows.apply(decided.changes)
        self.applied.update(event.name for event in decided.events)


def acts(person: Person, sight: Sight, now_ms: int = START_MS) -> tuple[Operation, ...]:
    return decide(person, sight, now_ms, Random(1))


def seen(**account: object) -> Sight:
    """Return what B sees who holds that, beside a battery that is half full."""
    held = AccountSeen(**{"limit_uent": MEMBER_LIMIT_UENT, **account})  # type: ignore[arg-type] # by name
    return Sight(unit=HALF_FULL, accounts={WHO["B"]: held})


def test_two_weeks_go_by_themselves() -> None:
    days = Days()

    days.run(24 * 14)

    assert days.applied["governance.passed"] >= 4
    assert days.applied["energy.connected"] >= 4
    assert days.applied["energy.delegated"] == 1
    assert days.applied["energy.produced"] > 100
    assert days.applied["energy.consumed"] > 100
    assert days.applied["energy.session_opened"] > 20
    assert days.applied["market.traded"] > 20
    assert days.applied["bank.minted"] >= 1
    rows = days.town.rows
    assert gap_of(rows).gap_uent == total(rows, Token.ENT) - UENT_PER_WH * total_energy_wh(rows)
    assert sum(days.refused.values()) < days.issued // 20, days.refused
    assert any(True for _ in sessions_of(rows, UNIT))


def test_the_same_seed_gives_the_same_days() -> None:
    first, second = Days(), Days()

    for one in (first, second):
        one.run(24 * 3)

    assert first.applied == second.applied
    assert list(first.town.rows.scan(b"")) == list(second.town.rows.scan(b""))


def test_nobody_but_voters_acts_before_there_is_a_battery() -> None:
    sight = see(Town().rows, UNIT, MEMBERS)

    active = {
        name
        for name, parts in PEOPLE.items()
        if any(decide(part, sight, START_MS, Random(1)) for part in parts)
    }

    assert active == {"A"}


def test_a_household_first_connects_and_signs_anew_when_half_its_limit_is_used() -> None:
    connect = energy_operation(Connect(UNIT, EDGE, MEMBER_LIMIT_UENT))

    assert acts(HOME, seen(limit_uent=None)) == (connect,)
    assert acts(HOME, seen(limit_uent=MEMBER_LIMIT_UENT // 2 - 1)) == (connect,)
    assert connect not in acts(HOME, seen(limit_uent=MEMBER_LIMIT_UENT // 2))


def test_a_household_opens_a_session_for_what_it_has_and_the_battery_holds() -> None:
    def opened(ent_uent: int, free_wh: int) -> tuple[Operation, ...]:
        unit = UnitSeen(60_000, 30_000, free_wh, EDGE)
        held = AccountSeen(ent_uent=ent_uent, limit_uent=MEMBER_LIMIT_UENT)
        return acts(HOME, Sight(unit=unit, accounts={WHO["B"]: held}))

    for uent, free_wh, expected in (
        (3_000_000, 20_000, 3_000_000),
        (30_000_000, 20_000, OWN_NEED_UENT),
        (3_000_000, 1_000, 1_000_000),
    ):
        assert opened(uent, free_wh) == (energy_operation(OpenSession(UNIT, expected)),)
    assert opened(3_000_000, 0) == ()


def test_after_a_session_has_run_out_the_next_one_takes_what_is_free() -> None:
    over, still_open = SessionSeen(3_000_000, START_MS), SessionSeen(3_000_000, START_MS + 1)

    opened = acts(HOME, seen(ent_uent=500_000, session=over))

    assert opened == (energy_operation(OpenSession(UNIT, 500_000)),)
    assert acts(HOME, seen(ent_uent=500_000, session=still_open)) == ()


def test_who_has_more_than_it_needs_sells_half_of_it() -> None:
    session = SessionSeen(OWN_NEED_UENT, START_MS + HOUR_MS)
    (operation,) = acts(HOME, seen(ent_uent=6_000_500, session=session))

    price_ueur = worth_ueur(HALF_FULL, Random(1))
    expected = Sell(3_000_000, price_ueur, START_MS + 6 * HOUR_MS)
    assert operation == market_operation(expected)
    assert acts(HOME, seen(ent_uent=6_000_500, session=session, selling_uent=1_000)) == ()
    assert acts(HOME, seen(ent_uent=6_000_500, session=session, buying_uent=1_000)) == ()


def test_where_periods_are_long_an_order_stands_longer() -> None:
    session = SessionSeen(OWN_NEED_UENT, START_MS + HOUR_MS)
    sight = seen(ent_uent=6_000_500, session=session)

    (operation,) = acts(HOME, replace(sight, parameters={SETTLEMENT_PERIOD: 3 * HOUR_MS}))

    expected = Sell(3_000_000, worth_ueur(HALF_FULL, Random(1)), START_MS + 12 * HOUR_MS)
    assert operation == market_operation(expected)


def test_who_lacks_tokens_buys_what_it_can_pay() -> None:
    rng = Random(1)
    lacking = seen(eeuro_ueur=100_000_000)

    (operation,) = decide(HOME, lacking, START_MS, rng)

    assert operation == market_operation(
        Buy(OWN_NEED_UENT, worth_ueur(HALF_FULL, Random(1)), START_MS + 6 * HOUR_MS)
    )
    assert acts(HOME, seen(eeuro_ueur=100_000)) == ()
    assert acts(HOME, seen(eeuro_ueur=100_000_000, buying_uent=OWN_NEED_UENT)) == ()
    assert acts(HOME, seen(eeuro_ueur=100_000_000, selling_uent=OWN_NEED_UENT)) == ()


def test_who_has_plenty_of_money_has_it_paid_out_once() -> None:
    session = SessionSeen(OWN_NEED_UENT, START_MS + HOUR_MS)
    rich = PLENTY_UEUR + 5

    lock = acts(HOME, seen(eeuro_ueur=rich, session=session))

    assert lock == (bank_operation(Lock(rich - KEPT_UEUR)),)
    assert acts(HOME, seen(eeuro_ueur=rich, session=session, withdrawal_ueur=7)) == ()


def test_the_banker_pays_out_and_issues_for_who_runs_low() -> None:
    accounts = {
        WHO["B"]: AccountSeen(eeuro_ueur=LOW_UEUR - 1),
        WHO["D"]: AccountSeen(eeuro_ueur=LOW_UEUR - 1, eeuro_locked_ueur=1),
        WHO["E"]: AccountSeen(eeuro_ueur=1, withdrawal_ueur=30),
    }
    sight = Sight(banker=WHO["F"], accounts=accounts)

    said = acts(Banker(WHO["F"]), sight)

    assert set(said) == {
        bank_operation(Mint(WHO["B"], PAID_IN_UEUR)),
        bank_operation(Burn(WHO["E"], 30)),
    }
    assert acts(Banker(WHO["G"]), sight) == ()


def test_a_voter_seconds_what_others_propose_but_not_its_own_removal() -> None:
    change, removal = SetParameter("C", 40_000), RemoveVoter(WHO["G"])
    votes = (VoteSeen(change, frozenset({WHO["A"]})), VoteSeen(removal, frozenset({WHO["A"]})))
    sight = Sight(voters=frozenset({WHO["A"], WHO["G"]}), votes=votes)

    said = acts(Voter(WHO["G"], CHARTER, proposes=False), sight)

    assert said == (vote_operation(Vote(change, yes=True)),)
    assert acts(Voter(WHO["B"], CHARTER, proposes=False), sight) == ()


def test_a_proposer_does_not_open_what_is_open_and_changes_its_mind_by_the_calendar() -> None:
    charter = Charter(UNIT, WHO["C"], WHO["F"], 60_000, 900_000)
    held = Sight(
        unit=HALF_FULL,
        banker=WHO["F"],
        voters=frozenset({WHO["A"]}),
        parameters={"F": SHARES_PPM[0]},
    )
    proposer = Voter(WHO["A"], charter, proposes=True)
    even_ms, odd_ms = 1_000 * CHANGE_MS, 1_001 * CHANGE_MS
    change = SetParameter("F", SHARES_PPM[1])

    assert acts(proposer, held, even_ms) == ()
    assert acts(proposer, held, odd_ms) == (vote_operation(Vote(change, yes=True)),)
    opened = replace(held, votes=(VoteSeen(change, frozenset({WHO["A"]})),))
    assert acts(proposer, opened, odd_ms) == ()
    assert not missing_acts(charter, held)


def test_the_unit_names_its_reporter_once() -> None:
    device = Device(UNIT, EDGE)

    assert acts(device, Sight(unit=UnitSeen(1, 0, 0, None))) == (energy_operation(Delegate(EDGE)),)
    assert acts(device, Sight(unit=UnitSeen(1, 0, 0, EDGE))) == ()


@pytest.mark.parametrize("stored_wh", [0, 30_000, 60_000, 70_000])
def test_the_fuller_the_battery_the_cheaper_a_token(stored_wh: int) -> None:
    unit = UnitSeen(60_000, stored_wh, 0, None)

    prices = [worth_ueur(unit, Random(seed)) for seed in range(100)]

    fair = DEAREST_UEUR - 180_000 * min(stored_wh, 60_000) // 60_000
    assert all(abs(price - fair) * PPM <= fair * 100_000 + PPM for price in prices)
    assert min(prices) < fair < max(prices)
