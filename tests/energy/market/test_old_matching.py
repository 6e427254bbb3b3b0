"""Row 4 of the public contract's faults (ENERGY §3): matching, with each fault planted again."""

from collections.abc import Iterator
from itertools import count

import msgspec
import pytest

from energy.market import contract
from energy.market.book import Order, Side, locked_by, side_of_book, with_rest
from energy.market.matching import Fill
from energy.market.pricing import Pricing
from tangle.accounts import Token, balance_key, locked_key
from tangle.rows import RowReader
from tests.energy.market.trading import ENT, Market, price

CANCELLED = 50


def _old_side(rows: RowReader, side: Side) -> Iterator[Order]:
    """Yield the orders of a side by id: whoever came first, at whatever price."""
    return iter(sorted(side_of_book(rows, side), key=lambda one: one.order_id))


def test_row_4_the_best_price_is_served_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def story() -> list[int]:
        market = Market()
        market.sell(1, 1 * ENT, price("0.9"))
        market.sell(2, 1 * ENT, price("0.5"))
        market.buy(0, 1 * ENT, price("1.0"))
        return [one.price_ueur for one in market.trades()]

    assert story() == [price("0.5")]
    monkeypatch.setattr(contract, "side_of_book", _old_side)
    assert story() == [price("0.9")]


def _old_move(moves: dict[bytes, int], fill: Fill) -> None:
    """Take what was paid out of the lock, and nothing more: what was locked beyond stays so."""
    resting = fill.resting
    moves[locked_key(Token.EEURO, resting.owner)] -= fill.paid_ueur
    moves[balance_key(Token.ENT, resting.owner)] += fill.amount_uent


def test_row_4_what_is_locked_is_what_open_orders_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def story() -> tuple[int, int]:
        market = Market(rule=Pricing.ASK)
        market.buy(0, 4 * ENT, price("1.0"))
        market.sell(1, 2 * ENT, price("0.5"))
        held = market.locked(Token.EEURO, 0)
        return held, sum(locked_by(one)[1] for one in side_of_book(market.rows, "buy"))

    assert story() == (price("2.0"), price("2.0"))
    monkeypatch.setattr(contract, "_move_resting", _old_move)
    assert story() == (price("3.0"), price("2.0"))


def _old_cancelled(order: Order) -> dict[bytes, bytes | None]:
    """Leave an order in the book that has nothing left."""
    return with_rest(msgspec.structs.replace(order, left_uent=0))


def test_row_4_a_cancelled_order_costs_nobody_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = count()

    def counted(rows: RowReader, side: Side) -> Iterator[Order]:
        for one in side_of_book(rows, side):
            next(looked)
            yield one

    def story() -> int:
        market = Market()
        for _ in range(CANCELLED):
            market.cancel(1, market.sell(1, 1 * ENT, price("0.5")))
        before = next(looked)
        market.buy(0, 1 * ENT, price("1.0"))
        return next(looked) - before - 1

    monkeypatch.setattr(contract, "side_of_book", counted)
    assert story() == 0
    monkeypatch.setattr(contract, "without_order", _old_cancelled)
    assert story() == CANCELLED
