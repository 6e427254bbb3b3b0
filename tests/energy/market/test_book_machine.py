"""The book against a naive one: a list that is sorted anew for every order."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from energy.market.book import locked_by
from energy.market.contract import Buy, Sell
from energy.market.pricing import LOT_UENT, Pricing
from tangle.accounts import Token
from tangle.outcomes import Reason
from tangle.transaction import TransactionId
from tests.energy.market.trading import MEMBERS, Market

HELD_UENT = 60 * LOT_UENT
HELD_UEUR = 150
"""µEUR: little enough that orders are refused for want of money, too."""

PEOPLE = range(4)


@dataclass(frozen=True)
class Naive:
    """An order of the oracle."""

    number: int
    member: int
    is_buy: bool
    price: int
    left: int
    expires: int

    def locks(self) -> int:
        return -(-self.left * self.price // 1_000_000) if self.is_buy else self.left


class Oracle:
    """What the rules say, in the plainest way: lists, sorting, and whole sums."""

    def __init__(self) -> None:
        self.orders: list[Naive] = []
        self.trades: list[tuple[int, int, int, int]] = []
        self.ent = dict.fromkeys(PEOPLE, HELD_UENT)
        self.eeuro = dict.fromkeys(PEOPLE, HELD_UEUR)
        """Free and locked together."""

    def locked(self, member: int, *, is_buy: bool) -> int:
        mine = [one for one in self.orders if one.member == member and one.is_buy == is_buy]
        return sum(one.locks() for one in mine)

    def post(self, new: Naive, now: int, rule: Pricing) -> Reason | None:
        if 0 < new.expires <= now:
            return Reason.EXPIRED
        held = self.eeuro if new.is_buy else self.ent
        if held[new.member] - self.locked(new.member, is_buy=new.is_buy) < new.locks():
            return Reason.INSUFFICIENT_EEURO if new.is_buy else Reason.INSUFFICIENT_ENT
        sign = 1 if new.is_buy else -1
        for there in sorted(self.orders, key=lambda one: (sign * one.price, one.number)):
            if there.is_buy == new.is_buy or sign * (new.price - there.price) < 0 or not new.left:
                continue
            if 0 < there.expires <= now:
                self.orders.remove(there)
                continue
            if there.member == new.member:
                return None
            new = self._traded(new, there, rule)
        if new.left:
            self.orders.append(new)
        return None

    def _traded(self, new: Naive, there: Naive, rule: Pricing) -> Naive:
        amount = min(new.left, there.left)
        bid, ask = (new, there) if new.is_buy else (there, new)
        price = {
            Pricing.RESTING: there.price,
            Pricing.MID: (bid.price + ask.price) // 2,
            Pricing.ASK: ask.price,
        }[rule]
        cost = amount * price // 1_000_000
        self.eeuro[bid.member] -= cost
        self.eeuro[ask.member] += cost
        self.ent[ask.member] -= amount
        self.ent[bid.member] += amount
        self.trades.append((bid.member, ask.member, amount, price))
        self.orders.remove(there)
        if there.left > amount:
            self.orders.append(replace(there, left=there.left - amount))
        return replace(new, left=new.left - amount)


class BookMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.ids: list[TransactionId] = []
        self.numbers: dict[TransactionId, int] = {}

    @initialize(rule=st.sampled_from(Pricing))
    def open_market(self, rule: Pricing) -> None:
        self.pricing = rule
        self.market = Market(HELD_UENT, HELD_UEUR, rule)

    @rule(
        member=st.sampled_from(PEOPLE),
        is_buy=st.booleans(),
        lots=st.integers(1, 12),
        price=st.integers(1_000, 1_008) | st.integers(1_000, 20_000),
        lives_ms=st.none() | st.integers(0, 4),
    )
    def post(self, member: int, is_buy: bool, lots: int, price: int, lives_ms: int | None) -> None:
        expires = 0 if lives_ms is None else self.market.timestamp_ms + lives_ms
        order = Naive(len(self.ids), member, is_buy, price, lots * LOT_UENT, expires)
        wanted = self.oracle.post(order, self.market.timestamp_ms, self.pricing)

        post = Buy if is_buy else Sell
        said = self.market.call(member, post(lots * LOT_UENT, price, expires))

        assert (said if isinstance(said, Reason) else None) == wanted
        self._remember(said)

    @rule(member=st.sampled_from(PEOPLE), pick=st.integers(0, 10**6))
    def cancel(self, member: int, pick: int) -> None:
        order_id = self.ids[pick % len(self.ids)] if self.ids else TransactionId(bytes(32))
        number = self.numbers.get(order_id, -1)
        found = [one for one in self.oracle.orders if one.number == number]

        said = self.market.cancel(member, order_id)

        if not found:
            assert said is Reason.UNKNOWN_ORDER
        elif found[0].member != member:
            assert said is Reason.NOT_YOURS
        elif 0 < found[0].expires <= self.market.timestamp_ms:
            assert said is Reason.EXPIRED
        else:
            assert not isinstance(said, Reason)
            self.oracle.orders.remove(found[0])

    @rule(after_ms=st.integers(1, 3))
    def end_milestone(self, after_ms: int) -> None:
        now = self.market.timestamp_ms
        self.oracle.orders = [one for one in self.oracle.orders if not 0 < one.expires <= now]

        self.market.end_milestone(after_ms)

    def _remember(self, said: TransactionId | Reason) -> None:
        if not isinstance(said, Reason):
            self.numbers[said] = len(self.ids)
            self.ids.append(said)

    @invariant()
    def book_and_trades_are_those_of_the_oracle(self) -> None:
        for is_buy in (True, False):
            sign = -1 if is_buy else 1
            wanted = sorted(
                (one for one in self.oracle.orders if one.is_buy == is_buy),
                key=lambda one: (sign * one.price, one.number),  # used at once
            )
            assert self.market.left("buy" if is_buy else "sell") == [
                (one.member, one.left, one.price) for one in wanted
            ]
        assert [
            (MEMBERS.index(one.buyer), MEMBERS.index(one.seller), one.amount_uent, one.price_ueur)
            for one in self.market.trades()
        ] == self.oracle.trades

    @invariant()
    def what_is_locked_is_what_open_orders_lock(self) -> None:
        orders = [*self.market.book("buy"), *self.market.book("sell")]
        for token, held, is_buy in (
            (Token.ENT, self.oracle.ent, False),
            (Token.EEURO, self.oracle.eeuro, True),
        ):
            for member in PEOPLE:
                locked = self.market.locked(token, member)
                assert locked == self.oracle.locked(member, is_buy=is_buy)
                assert self.market.free(token, member) + locked == held[member]
            in_book = [amount for kind, amount in map(locked_by, orders) if kind is token]
            assert sum(in_book) == sum(self.market.locked(token, one) for one in PEOPLE)

    @invariant()
    def indexes_hold_exactly_the_open_orders(self) -> None:
        orders = [*self.market.book("buy"), *self.market.book("sell")]
        rows = dict(self.market.rows.scan(b"market/order/"))
        expiring = dict(self.market.rows.scan(b"market/expiry/"))
        assert set(rows) == {b"market/order/" + one.order_id for one in orders}
        assert len(expiring) == sum(one.expires_at_ms != 0 for one in orders)


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(stateful_step_count=60)
