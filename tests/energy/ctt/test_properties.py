"""Whatever happens to tokens: energy and money are conserved, and the index tells the truth."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from energy.ctt.calls import (
    MAX_BOUGHT,
    Buy,
    BuyEmpty,
    Confirm,
    Consume,
    CttCall,
    Recharge,
    Register,
    SetOnSale,
    SetTokenCapacity,
    Transfer,
    WithdrawSale,
)
from energy.ctt.rows import CttToken, account, collection, token, tokens_of
from tangle.keys import SigningKey
from tests.community import meter_key
from tests.energy.ctt.world import (
    ADMIN,
    ALICE,
    BOB,
    COINS_UEUR,
    METER,
    OPERATOR,
    address,
    community,
)

PEOPLE = (ADMIN, OPERATOR, ALICE, BOB)
MAX_TOKENS = 6
people = st.sampled_from(PEOPLE)
numbers = st.integers(0, MAX_TOKENS)
energies = st.integers(0, 30_000)
prices = st.integers(0, 400_000_000)


class Tokens(RuleBasedStateMachine):
    """Two prosumers with a meter each, and everybody trades."""

    @initialize()
    def start(self) -> None:
        self.world = community(MAX_TOKENS)
        second = meter_key(1)
        assert self.world.call(BOB, Register(address(second))) is None
        assert self.world.call(OPERATOR, Confirm(address(second), address(BOB))) is None
        self.meters = {METER: ALICE, second: BOB}
        self.charged_wh = 0
        self.consumed_wh = {ALICE: 0, BOB: 0}
        self.reported_wh = {ALICE: 0, BOB: 0}

    def tokens(self) -> dict[int, CttToken]:
        found = {number: token(self.world.rows, number) for number in range(MAX_TOKENS)}
        return {number: one for number, one in found.items() if one is not None}

    @rule(who=people, count=st.integers(1, min(3, MAX_BOUGHT)))
    def have_made(self, who: SigningKey, count: int) -> None:
        self.world.call(who, BuyEmpty(count))

    @rule(who=people, number=numbers, price=prices, energy_price=prices)
    def offer(self, who: SigningKey, number: int, price: int, energy_price: int) -> None:
        self.only_the_owner(who, number, SetOnSale(number, price, energy_price))

    @rule(who=people, number=numbers)
    def withdraw(self, who: SigningKey, number: int) -> None:
        self.only_the_owner(who, number, WithdrawSale(number))

    @rule(who=people, number=numbers, to=people)
    def give(self, who: SigningKey, number: int, to: SigningKey) -> None:
        self.only_the_owner(who, number, Transfer(number, address(to)))

    @rule(who=people, number=numbers)
    def buy(self, who: SigningKey, number: int) -> None:
        before = self.tokens().get(number)

        refused = self.world.call(who, Buy(number, 10**9))

        if refused is None:
            after = self.tokens()[number]
            assert before is not None
            assert before.sale is not None
            assert (after.owner, after.energy_wh, after.sale) == (
                address(who),
                before.energy_wh,
                None,
            )

    @rule(meter=st.sampled_from((METER, meter_key(1))), energy_wh=energies)
    def charge(self, meter: SigningKey, energy_wh: int) -> None:
        if self.world.call(meter, Recharge(energy_wh, None)) is None:
            booked, left = self.world.said("energy_wh"), self.world.said("refused_wh")
            assert isinstance(booked, int)
            assert isinstance(left, int)
            assert booked + left == energy_wh
            self.charged_wh += booked

    @rule(meter=st.sampled_from((METER, meter_key(1))), energy_wh=energies)
    def deplete(self, meter: SigningKey, energy_wh: int) -> None:
        who = self.meters[meter]
        if self.world.call(meter, Consume(energy_wh, None)) is None:
            booked = self.world.said("energy_wh")
            assert isinstance(booked, int)
            self.consumed_wh[who] += booked
            self.reported_wh[who] += energy_wh

    @rule(number=numbers, capacity_wh=st.integers(1, 20_000))
    def resize(self, number: int, capacity_wh: int) -> None:
        self.world.call(OPERATOR, SetTokenCapacity(capacity_wh, number))

    @invariant()
    def energy_is_conserved(self) -> None:
        on_board = sum(one.energy_wh for one in self.tokens().values())
        assert on_board == self.charged_wh - sum(self.consumed_wh.values())
        for who in (ALICE, BOB):
            uncovered = account(self.world.rows, address(who)).uncovered_wh
            assert self.reported_wh[who] == self.consumed_wh[who] + uncovered

    @invariant()
    def money_is_conserved(self) -> None:
        assert sum(self.world.eeuro(who) for who in PEOPLE) == len(PEOPLE) * COINS_UEUR

    @invariant()
    def no_token_is_overfull_and_all_are_counted(self) -> None:
        tokens, made = self.tokens(), collection(self.world.rows)
        assert made is not None
        assert made.made == len(tokens) <= made.max_tokens
        assert all(0 <= one.energy_wh <= one.capacity_wh for one in tokens.values())

    @invariant()
    def the_index_and_the_accounts_say_what_the_tokens_say(self) -> None:
        for who in PEOPLE:
            mine = {
                number: one for number, one in self.tokens().items() if one.owner == address(who)
            }
            free_wh = sum(one.energy_wh for one in mine.values() if one.sale is None)
            assert tokens_of(self.world.rows, address(who)) == sorted(mine)
            assert account(self.world.rows, address(who)).available_wh == free_wh

    def only_the_owner(self, who: SigningKey, number: int, call: CttCall) -> None:
        one = self.tokens().get(number)

        refused = self.world.call(who, call)

        if refused is None:
            assert one is not None
            assert one.owner == address(who)


TestTokens = Tokens.TestCase
TestTokens.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
