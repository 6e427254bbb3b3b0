"""A small market for tests: members with tokens, and orders by hand."""

from itertools import count
from typing import Final

from energy.locked import locked
from energy.market.book import Order, Side, side_of_book
from energy.market.contract import Buy, Cancel, MarketCall, Sell, apply_market, end_market
from energy.market.pricing import Pricing
from energy.market.trades import Trade, trades_of
from energy.parameters import PARAMETERS_KEY, TRADE_PRICES, EnergyParameters, parameters_row
from tangle.accounts import Token, balance, balance_key, balance_row
from tangle.address import address_of
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, Rows
from tangle.transaction import TransactionId
from tests.community import member_key

ENT: Final = 1_000_000
EUR: Final = 1_000_000
KEYS: Final = tuple(member_key(number).public for number in range(6))
MEMBERS: Final = tuple(address_of(key) for key in KEYS)
START_MS: Final = 1_000


def price(text: str) -> int:
    """Return eEuro per ENT, written as a decimal, in µEUR."""
    whole, _, decimals = text.partition(".")
    return int(whole) * EUR + int(decimals.ljust(6, "0"))


class Market:
    """Rows on which orders are applied as a ledger would, one milestone open at a time."""

    def __init__(
        self, ent: int = 1_000 * ENT, eeuro: int = 1_000 * EUR, rule: Pricing = Pricing.RESTING
    ) -> None:
        held = {balance_key(Token.ENT, one): balance_row(ent) for one in MEMBERS}
        held |= {balance_key(Token.EEURO, one): balance_row(eeuro) for one in MEMBERS}
        index = TRADE_PRICES.index(rule)
        held[PARAMETERS_KEY] = parameters_row(EnergyParameters(trade_price=index))
        self.rows = Draft(Rows({key: value for key, value in held.items() if value is not None}))
        self.index = 1
        self.timestamp_ms = START_MS
        self.events: list[Event] = []
        self._position = 0
        self._ids = count(1)

    def call(self, member: int, call: MarketCall) -> TransactionId | Reason:
        """Apply a call; return the id of its transaction, or why it is refused."""
        tx_id = TransactionId(next(self._ids).to_bytes(32, "big"))
        context = Context(
            KEYS[member], MEMBERS[member], tx_id, self.index, self.timestamp_ms, self._position
        )
        self._position += 1
        decided = apply_market(self.rows, call, context)
        if isinstance(decided, Reason):
            return decided
        self._take(decided)
        return tx_id

    def sell(self, member: int, amount: int, at: int, expires_ms: int = 0) -> TransactionId:
        return self._posted(member, Sell(amount, at, expires_ms))

    def buy(self, member: int, amount: int, at: int, expires_ms: int = 0) -> TransactionId:
        return self._posted(member, Buy(amount, at, expires_ms))

    def cancel(self, member: int, order: TransactionId) -> TransactionId | Reason:
        return self.call(member, Cancel(order))

    def end_milestone(self, after_ms: int = 1_000) -> None:
        """Run the end step, and open the next milestone."""
        self._take(end_market(self.rows, self.index, self.timestamp_ms))
        self.index += 1
        self.timestamp_ms += after_ms
        self._position = 0

    def book(self, side: Side) -> list[Order]:
        return list(side_of_book(self.rows, side))

    def left(self, side: Side) -> list[tuple[int, int, int]]:
        """Return member, amount and price of the orders of a side, best first."""
        return [
            (MEMBERS.index(one.owner), one.left_uent, one.place.price_ueur)
            for one in self.book(side)
        ]

    def trades(self) -> list[Trade]:
        return trades_of(self.events)

    def free(self, token: Token, member: int) -> int:
        return balance(self.rows, token, MEMBERS[member])

    def locked(self, token: Token, member: int) -> int:
        return locked(self.rows, token, MEMBERS[member])

    def _posted(self, member: int, call: Sell | Buy) -> TransactionId:
        posted = self.call(member, call)
        assert not isinstance(posted, Reason), posted
        return posted

    def _take(self, changed: Changed) -> None:
        self.rows.put(changed.changes)
        self.events.extend(changed.events)
