"""Whatever a town does, in whatever order: tokens, money and energy add up (ENERGY §2)."""

from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from energy.bank import BankCall, Burn, Lock, Mint, Unlock, withdrawal_ueur
from energy.governance.acts import (
    Act,
    AddVoter,
    FundBurn,
    FundMint,
    RegisterUnit,
    RemoveUnit,
    RemoveVoter,
    SetBanker,
    SetParameter,
)
from energy.locked import locked, total, total_energy_wh
from energy.members import voters
from energy.parameters import RULES
from energy.powerchain.calls import (
    Actual,
    CloseSession,
    Connect,
    Consumed,
    Delegate,
    EnergyCall,
    OpenSession,
    Produced,
    Reported,
)
from energy.powerchain.gap import Gap
from energy.powerchain.records import gap_of, sessions_at, sessions_of, storage_units
from energy.transfer import Transfer, TransferEeuro, TransferEnt
from energy.units import QUARTER_MS
from tangle.accounts import Token, balance
from tangle.address import Address
from tests.energy.town import DEVICES, HOUR_MS, MEMBERS, WHO, Town

Call = EnergyCall | BankCall | Act | Transfer

ISSUERS: Final = st.sampled_from((*MEMBERS[:4], "U1", "U2", "R1", "X"))
PEOPLE: Final = st.sampled_from([WHO[name] for name in MEMBERS[:4]])
UNITS: Final = st.sampled_from([WHO["U1"], WHO["U2"]])
ENERGY_WH: Final = st.integers(0, 3_000) | st.integers(0, 30_000)
CHARGED_WH: Final = ENERGY_WH | st.integers(20_000, 60_000)
"""A gap closes after 20 kWh at the default parameters."""

AMOUNTS: Final = st.integers(0, 3_000_000) | st.integers(0, 30_000_000)
EVERYBODY: Final = tuple(WHO[name] for name in (*MEMBERS, *DEVICES, "X"))


class AnyOrder(RuleBasedStateMachine):
    """One operation after another, by whoever; most are refused, as in life."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town()
        self.minted = {Token.ENT: 0, Token.EEURO: 0}
        self.burned = {Token.ENT: 0, Token.EEURO: 0}

    def held(self) -> dict[tuple[Address, Token], tuple[int, int]]:
        """Return what everybody has free and locked."""
        rows = self.town.rows
        return {
            (one, token): (balance(rows, token, one), locked(rows, token, one))
            for one in EVERYBODY
            for token in Token
        }

    def act(self, by: str, call: Call) -> None:
        """Let somebody try something; what it may not do to others and to the gap is checked."""
        before, held = gap_of(self.town.rows), self.held()
        refused = self.town.do(by, call)
        for event in self.town.events:
            self.count(event.name, dict(event.fields))
        if refused is not None:
            assert self.held() == held, "a refusal changed something"
        elif isinstance(call, OpenSession | CloseSession | Connect):
            mine = (WHO[by], Token.ENT)
            assert self.held()[mine][1] >= held[mine][1], "took out what late reports may need"
        elif isinstance(call, Produced | Consumed | OpenSession | CloseSession | Transfer):
            fields = [dict(one.fields) for one in self.town.events]
            if not any(one.get("unpaid_wh", 0) for one in fields):
                self.check_gap(before)
        self.check_others(by, call, held)

    def count(self, name: str, fields: dict[str, str | int | bytes]) -> None:
        """Add up what events say was made and destroyed."""
        for what in ("producer_uent", "owner_uent"):
            self.minted[Token.ENT] += int(fields.get(what, 0))
        self.burned[Token.ENT] += int(fields.get("burned_uent", 0))
        if name == "bank.minted":
            self.minted[Token.EEURO] += int(fields["amount_ueur"])
        if name == "bank.burned":
            self.burned[Token.EEURO] += int(fields["amount_ueur"])

    def check_gap(self, before: Gap) -> None:
        """The gap never grows nor turns by a step that should close it."""
        after = gap_of(self.town.rows)
        assert abs(after.gap_uent) <= abs(before.gap_uent)
        assert after.gap_uent * before.gap_uent >= 0
        assert after.rate_ppm in (before.rate_ppm, 0)

    def check_others(
        self, by: str, call: Call, held: dict[tuple[Address, Token], tuple[int, int]]
    ) -> None:
        """Nobody takes from another, but for the unit that reports and the banker's burn."""
        named = call.member if isinstance(call, Consumed | Burn | FundBurn) else None
        for (one, token), (free, bound) in self.held().items():
            had_free, had_bound = held[one, token]
            if one in (WHO[by], named):
                continue
            assert free + bound >= had_free + had_bound, f"{by} took from another"
            assert free >= had_free, f"{by} touched what another has free"

    @initialize()
    def founded(self) -> None:
        self.town.all("A", RegisterUnit(WHO["U1"], WHO["C"], 10**6), SetBanker(WHO["D"]))
        self.town.all("U1", Produced(WHO["B"], 10_000))
        self.minted[Token.ENT] += 10_000_000

    @rule(by=st.sampled_from(("U1", "U2", "R1", "B")), member=PEOPLE, energy_wh=CHARGED_WH)
    def produced(self, by: str, member: Address, energy_wh: int) -> None:
        self.act(by, Produced(member, energy_wh, unit=None if by != "R1" else WHO["U1"]))

    @rule(
        by=st.sampled_from(("U1", "U1", "U2", "R1", "B")),
        member=PEOPLE,
        energy_wh=ENERGY_WH,
        ago_ms=st.none() | st.integers(0, 3 * HOUR_MS),
        report=st.none() | st.integers(0, 20),
    )
    def consumed(
        self, by: str, member: Address, energy_wh: int, ago_ms: int | None, report: int | None
    ) -> None:
        ended_ms = None if ago_ms is None else self.town.now_ms - ago_ms
        unit = None if by != "R1" else WHO["U1"]
        self.act(by, Consumed(member, energy_wh, report, ended_ms, unit))

    @rule(by=ISSUERS, energy_wh=ENERGY_WH)
    def actual(self, by: str, energy_wh: int) -> None:
        self.act(by, Actual(energy_wh))

    @rule(by=st.sampled_from(("U1", "U2", "B")), ago_ms=st.integers(-1, 3 * HOUR_MS))
    def reported(self, by: str, ago_ms: int) -> None:
        gap = gap_of(self.town.rows)
        self.act(by, Reported(self.town.now_ms - ago_ms))
        assert gap_of(self.town.rows) == gap

    @rule(by=ISSUERS, unit=UNITS, amount=AMOUNTS)
    def open_session(self, by: str, unit: Address, amount: int) -> None:
        self.act(by, OpenSession(unit, amount))

    @rule(by=ISSUERS, unit=UNITS)
    def close_session(self, by: str, unit: Address) -> None:
        self.act(by, CloseSession(unit))

    @rule(by=ISSUERS, unit=UNITS, amount=AMOUNTS)
    def connect(self, by: str, unit: Address, amount: int) -> None:
        self.act(by, Connect(unit, WHO["A"], amount))

    @rule(by=ISSUERS, to=st.sampled_from((None, WHO["R1"], WHO["B"], WHO["U2"])))
    def delegate(self, by: str, to: Address | None) -> None:
        self.act(by, Delegate(to))

    @rule(by=ISSUERS, to=PEOPLE, amount=AMOUNTS, token=st.sampled_from(Token))
    def transfer(self, by: str, to: Address, amount: int, token: Token) -> None:
        kind = TransferEnt if token is Token.ENT else TransferEeuro
        self.act(by, kind(to, amount))

    @rule(by=st.sampled_from("BD"), member=PEOPLE, amount=AMOUNTS, what=st.integers(0, 3))
    def bank(self, by: str, member: Address, amount: int, what: int) -> None:
        call = (Mint(member, amount), Burn(member, amount), Unlock(member, amount), Lock(amount))
        self.act(by, call[what])

    @rule(
        by=st.sampled_from("AAB"),
        act=st.one_of(
            st.builds(AddVoter, PEOPLE),
            st.builds(RemoveVoter, PEOPLE),
            st.builds(RegisterUnit, UNITS, PEOPLE, ENERGY_WH, st.integers(500_000, 1_000_000)),
            st.builds(SetBanker, st.sampled_from((WHO["D"], WHO["B"]))),
            st.sampled_from(sorted(RULES)).flatmap(
                lambda name: st.builds(
                    SetParameter, st.just(name), st.integers(RULES[name].low, RULES[name].high)
                )
            ),
        ),
    )
    def vote(self, by: str, act: Act) -> None:
        if isinstance(act, SetParameter):
            before = gap_of(self.town.rows).gap_uent
            self.town.do(by, act)
            assert gap_of(self.town.rows).gap_uent == before
            return
        self.act(by, act)

    @rule(by=st.sampled_from("AAB"), member=PEOPLE, amount=AMOUNTS, mints=st.booleans())
    def fund(self, by: str, member: Address, amount: int, *, mints: bool) -> None:
        self.act(by, FundMint(member, amount) if mints else FundBurn(member, amount))

    @precondition(lambda self: self.town.index % 7 == 0)
    @rule(unit=UNITS)
    def remove_unit(self, unit: Address) -> None:
        self.act("A", RemoveUnit(unit))

    @rule(ms=st.integers(0, HOUR_MS) | st.integers(0, 60 * HOUR_MS))
    def wait(self, ms: int) -> None:
        gap = gap_of(self.town.rows)
        self.town.wait(ms)
        assert gap_of(self.town.rows) == gap

    @invariant()
    def tokens_add_up(self) -> None:
        rows, held = self.town.rows, self.held()
        for token in Token:
            everything = sum(sum(both) for (_, one), both in held.items() if one is token)
            assert total(rows, token) == everything
            assert total(rows, token) == self.minted[token] - self.burned[token]

    @invariant()
    def locks_are_sessions_and_withdrawals(self) -> None:
        rows, held = self.town.rows, self.held()
        for one in EVERYBODY:
            sessions = [
                session
                for unit, _ in storage_units(rows)
                for member, session in sessions_of(rows, unit)
                if member == one
            ]
            assert held[one, Token.ENT][1] == sum(session.amount_uent for session in sessions)
            assert held[one, Token.EEURO][1] == withdrawal_ueur(rows, one)

    @invariant()
    def energy_adds_up(self) -> None:
        rows = self.town.rows
        units = dict(storage_units(rows))
        count = 0
        assert total_energy_wh(rows) == sum(unit.stored_wh for unit in units.values())
        for address, unit in units.items():
            sessions = [session for _, session in sessions_of(rows, address)]
            count += len(sessions)
            in_sessions_wh = sum(session.energy_wh for session in sessions)
            assert 0 <= unit.free_wh == unit.stored_wh - in_sessions_wh
            assert unit.stored_wh <= unit.capacity_wh
            for member in {member for member, _ in sessions_of(rows, address)}:
                *waiting, _ = sessions_at(rows, address, member)
                soon_ms = self.town.now_ms + QUARTER_MS
                assert all(one.expires_at_ms <= soon_ms + 1 for one in waiting), "two are open"
            for session in sessions:
                assert session.energy_wh > 0
                assert session.amount_uent >= 1_000 * session.energy_wh
                assert session.returns_at_ms > self.town.now_ms
        assert len(list(rows.scan(b"energy/expiry/"))) == count

    @invariant()
    def the_rate_is_nothing_exactly_when_the_gap_is_closed(self) -> None:
        gap = gap_of(self.town.rows)
        assert gap.gap_uent == total(self.town.rows, Token.ENT) - 1_000 * total_energy_wh(
            self.town.rows
        )
        assert (gap.rate_ppm == 0) == (gap.gap_uent == 0)

    @invariant()
    def somebody_votes(self) -> None:
        assert voters(self.town.rows)


AnyOrder.TestCase.settings = settings(
    stateful_step_count=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_tokens_money_and_energy_add_up_in_any_order = AnyOrder.TestCase
