"""The market contract: the thesis' table, a table of refusals, and what each rule moves."""

import pytest

from edge.journal.records import decode_outcome, encode_outcome
from energy.market.book import NEVER, Level, decode_row, depth, find_order
from energy.market.contract import CONTRACT, Buy, Cancel, MarketCall, Sell, market_operation
from energy.market.matching import MAX_MET
from energy.market.pricing import (
    LOT_UENT,
    MIN_PRICE_UEUR,
    Pricing,
    locked_for,
    paid,
    pricing,
)
from energy.market.trades import Candle, Trade, candles
from tangle.accounts import Token
from tangle.codec import encode
from tangle.errors import MalformedBytesError
from tangle.outcomes import Applied, Event, Reason
from tangle.rows import Rows
from tangle.transaction import MAX_INTEGER, TransactionId
from tests.energy.market.trading import ENT, EUR, MEMBERS, START_MS, Market, price

A, B, C = range(3)
BIDS = ((0, 5, "10.5"), (1, 3, "10.0"), (2, 4, "9.9"), (3, 5, "9.8"))
ASKS = ((4, 3, "10.2"), (5, 1, "10.5"), (4, 4, "10.8"), (5, 3, "11.1"))


def post_table(market: Market, *, bids_first: bool) -> None:
    """Post Table 2.5 of the thesis: B1 to B4 are members 0 to 3; S1, S3 are 4 and S2, S4 are 5."""
    for side in ("buy", "sell") if bids_first else ("sell", "buy"):
        for member, amount, at in BIDS if side == "buy" else ASKS:
            post = market.buy if side == "buy" else market.sell
            post(member, amount * ENT, price(at))


@pytest.mark.parametrize(
    ("rule", "bids_first", "total_ueur"),
    [
        (Pricing.MID, True, 41_550_000),
        (Pricing.MID, False, 41_550_000),
        (Pricing.ASK, True, 41_100_000),
        (Pricing.ASK, False, 41_100_000),
        (Pricing.RESTING, True, 42_000_000),
        (Pricing.RESTING, False, 41_100_000),
    ],
)
def test_table_2_5_of_the_thesis(rule: Pricing, bids_first: bool, total_ueur: int) -> None:
    market = Market(rule=rule)

    post_table(market, bids_first=bids_first)

    trades = market.trades()
    assert [(one.buyer, one.seller, one.amount_uent) for one in trades] == [
        (MEMBERS[0], MEMBERS[4], 3 * ENT),
        (MEMBERS[0], MEMBERS[5], 1 * ENT),
    ]
    assert sum(one.paid_ueur for one in trades) == total_ueur
    assert market.left("buy") == [
        (0, 1 * ENT, price("10.5")),
        (1, 3 * ENT, price("10")),
        (2, 4 * ENT, price("9.9")),
        (3, 5 * ENT, price("9.8")),
    ]
    assert market.left("sell") == [(4, 4 * ENT, price("10.8")), (5, 3 * ENT, price("11.1"))]
    assert market.free(Token.EEURO, 0) == 1_000 * EUR - total_ueur - price("10.5")
    assert market.locked(Token.EEURO, 0) == price("10.5")
    assert market.free(Token.ENT, 0) == 1_004 * ENT


def test_the_last_step_of_the_golden_scenario() -> None:
    market = Market(ent=1_900_000, eeuro=10 * EUR)

    market.sell(C, 1_900_000, price("0.5"))
    market.buy(A, 10 * ENT, price("1"))

    assert market.free(Token.ENT, A) == 2 * 1_900_000
    assert market.free(Token.EEURO, C) == 10 * EUR + 950_000
    assert market.free(Token.EEURO, A) == 950_000
    assert market.locked(Token.EEURO, A) == 8_100_000
    assert market.left("buy") == [(A, 8_100_000, price("1"))]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        pytest.param(Sell(0, EUR), Reason.TOO_SMALL, id="nothing"),
        pytest.param(Buy(LOT_UENT - 1, EUR), Reason.TOO_SMALL, id="less than a lot"),
        pytest.param(Sell(ENT, MIN_PRICE_UEUR - 1), Reason.TOO_SMALL, id="too cheap"),
        pytest.param(Buy(ENT, 0), Reason.TOO_SMALL, id="for nothing"),
        pytest.param(Sell(ENT + 1, EUR), Reason.OUT_OF_RANGE, id="no whole lots"),
        pytest.param(Sell(ENT, EUR, START_MS), Reason.EXPIRED, id="no more at once"),
        pytest.param(Buy(ENT, EUR, 1), Reason.EXPIRED, id="long over"),
        pytest.param(Sell(10 * ENT + LOT_UENT, EUR), Reason.INSUFFICIENT_ENT, id="too little ENT"),
        pytest.param(Buy(5 * ENT, EUR + 1), Reason.INSUFFICIENT_EEURO, id="too little eEuro"),
        pytest.param(Buy(10**18, 10**18), Reason.INSUFFICIENT_EEURO, id="more than there can be"),
        pytest.param(Cancel(TransactionId(bytes(32))), Reason.UNKNOWN_ORDER, id="no such order"),
    ],
)
def test_a_call_is_refused_and_changes_nothing(call: MarketCall, reason: Reason) -> None:
    market = Market(ent=10 * ENT, eeuro=5 * EUR)

    assert market.call(A, call) is reason
    assert market.rows.changes == {}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(Sell(LOT_UENT, MIN_PRICE_UEUR), id="one lot at the lowest price"),
        pytest.param(Sell(10 * ENT, MAX_INTEGER), id="all there is, at the highest price"),
        pytest.param(Buy(5 * ENT, EUR), id="all money"),
        pytest.param(Sell(ENT, EUR, START_MS + 1), id="until the next moment"),
    ],
)
def test_an_order_at_the_very_limit_is_taken(call: MarketCall) -> None:
    assert not isinstance(Market(ent=10 * ENT, eeuro=5 * EUR).call(A, call), Reason)


def test_the_first_at_a_price_is_served_first_within_a_milestone_and_across() -> None:
    market = Market()
    for member, at in ((A, "1"), (B, "1"), (C, "0.9")):
        market.sell(member, ENT, price(at))
    market.end_milestone()
    market.sell(4, ENT, price("1"))

    market.buy(5, 4 * ENT, price("1"))

    assert [one.seller for one in market.trades()] == [MEMBERS[n] for n in (C, A, B, 4)]


def test_what_is_left_of_an_order_keeps_its_place() -> None:
    market = Market()
    market.buy(A, 2 * ENT, EUR)
    market.buy(B, 2 * ENT, EUR)

    market.sell(C, ENT, EUR)
    market.sell(C, 2 * ENT, EUR)

    assert [one.buyer for one in market.trades()] == [MEMBERS[A], MEMBERS[A], MEMBERS[B]]


def test_meeting_ones_own_order_cancels_the_rest_of_the_newcomer_only() -> None:
    market = Market()
    market.sell(A, ENT, price("0.5"))
    market.sell(B, ENT, price("0.6"))
    market.sell(C, ENT, price("0.7"))

    posted = market.buy(B, 3 * ENT, EUR)

    assert [one.seller for one in market.trades()] == [MEMBERS[A]]
    assert market.left("buy") == []
    assert market.left("sell") == [(B, ENT, price("0.6")), (C, ENT, price("0.7"))]
    assert market.locked(Token.EEURO, B) == 0
    assert market.free(Token.EEURO, B) == 1_000 * EUR - price("0.5")
    assert market.events[-1] == Event(
        "market.cancelled",
        (
            ("order", posted.hex()),
            ("owner", MEMBERS[B]),
            ("side", "buy"),
            ("left_uent", 2 * ENT),
            ("price_ueur", EUR),
        ),
    )


def test_orders_of_one_owner_that_do_not_meet_may_stand_on_both_sides() -> None:
    market = Market()

    market.sell(A, ENT, price("1.1"))
    market.buy(A, ENT, price("1"))

    assert market.left("sell") == [(A, ENT, price("1.1"))]
    assert market.left("buy") == [(A, ENT, price("1"))]


def test_the_surplus_of_a_better_price_is_free_after_each_fill() -> None:
    market = Market()
    market.sell(B, ENT, price("0.2"))
    market.sell(C, ENT, price("0.333333"))

    market.buy(A, 3 * ENT, price("0.777777"))

    assert market.locked(Token.EEURO, A) == locked_for(ENT, price("0.777777")) == 777_777
    assert market.free(Token.EEURO, A) == 1_000 * EUR - 200_000 - 333_333 - 777_777


def test_a_cancelled_order_sets_free_what_it_locked() -> None:
    market = Market()
    sold, bought = market.sell(A, ENT, price("2")), market.buy(B, ENT, price("1"))

    assert market.cancel(B, sold) is Reason.NOT_YOURS
    market.cancel(A, sold)
    market.cancel(B, bought)

    assert market.rows.changes == {}
    assert market.cancel(A, sold) is Reason.UNKNOWN_ORDER
    assert [one.name for one in market.events[-2:]] == ["market.cancelled"] * 2


def test_a_filled_order_is_unknown() -> None:
    market = Market()
    sold = market.sell(A, ENT, EUR)
    bought = market.buy(B, ENT, EUR)

    assert market.cancel(A, sold) is Reason.UNKNOWN_ORDER
    assert market.cancel(B, bought) is Reason.UNKNOWN_ORDER


def test_an_order_ends_with_the_first_milestone_at_its_expiry() -> None:
    market = Market()
    sold = market.sell(A, ENT, EUR, START_MS + 2_000)
    bought = market.buy(B, ENT, EUR // 2, START_MS + 2_000)
    stays = market.sell(C, ENT, EUR, START_MS + 2_001)

    market.end_milestone()
    market.end_milestone()
    before = market.left("sell")
    too_late = market.cancel(A, sold)
    market.end_milestone()

    assert before == [(A, ENT, EUR), (C, ENT, EUR)]
    assert too_late is Reason.EXPIRED
    assert market.left("sell") == [(C, ENT, EUR)]
    assert market.left("buy") == []
    assert market.locked(Token.ENT, A) == market.locked(Token.EEURO, B) == 0
    assert find_order(market.rows, sold) is None
    assert find_order(market.rows, bought) is None
    assert find_order(market.rows, stays) is not None


def test_an_expired_order_is_passed_over_before_its_milestone_ends() -> None:
    market = Market()
    market.sell(A, ENT, price("0.5"), START_MS + 1)
    market.sell(B, ENT, price("0.5"), START_MS + 1)
    market.sell(C, ENT, price("0.6"))
    market.end_milestone()

    market.buy(B, ENT, EUR)

    assert [one.seller for one in market.trades()] == [MEMBERS[C]]
    assert [one.name for one in market.events[-3:]] == [
        "market.expired",
        "market.expired",
        "market.traded",
    ]
    assert market.locked(Token.ENT, A) == 0
    assert market.book("sell") == []


def test_depth_adds_up_the_levels_of_a_side_best_first() -> None:
    market = Market()
    for member, amount, at in ((A, 1, "2"), (B, 2, "1"), (C, 3, "1"), (A, 4, "3")):
        market.sell(member, amount * ENT, price(at))

    assert depth(market.rows, "sell", 2) == [
        Level(price("1"), 5 * ENT, 2),
        Level(price("2"), 1 * ENT, 1),
    ]
    assert depth(market.rows, "buy", 2) == []


def test_candles_of_the_spans_that_have_trades() -> None:
    def trade(at: int) -> Trade:
        return Trade(MEMBERS[A], MEMBERS[B], "", "", ENT, at, paid(ENT, at))

    found = candles([(0, trade(5)), (999, trade(9)), (999, trade(2)), (3_000, trade(4))], 1_000)

    assert found == [
        Candle(0, 5, 9, 2, 2, 3 * ENT, 16, 3),
        Candle(3_000, 4, 4, 4, 4, ENT, 4, 1),
    ]


def test_every_row_of_the_book_says_what_it_is() -> None:
    market = Market()
    posted = market.buy(A, ENT, EUR, START_MS + 9)
    (order,) = market.book("buy")

    rows = dict(market.rows.scan(b"market/"))

    assert [decode_row(key, value) for key, value in rows.items()] == [
        order,
        order.place,
        order.place,
    ]
    assert order.order_id == posted
    assert order.expires_at_ms != NEVER
    assert decode_row(b"balance/ent/", b"") is None


def test_the_pricing_rule_is_a_parameter_and_the_default_is_the_resting_order() -> None:
    rules = [pricing(Market(rule=one).rows) for one in Pricing]

    assert rules == [Pricing.RESTING, Pricing.MID, Pricing.ASK]
    assert pricing(Rows({})) is Pricing.RESTING


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(["sell", ENT, EUR], id="no expiry"),
        pytest.param(["sell", -1, EUR, 0], id="negative"),
        pytest.param(["buy", ENT, MAX_INTEGER + 1, 0], id="above the range"),
        pytest.param(["buy", ENT, 1.0, 0], id="a float"),
        pytest.param(["cancel", b"short"], id="a short id"),
        pytest.param(["swap", ENT, EUR, 0], id="unknown tag"),
    ],
)
def test_a_call_that_is_none_is_malformed(call: object) -> None:
    with pytest.raises(MalformedBytesError):
        CONTRACT.decode(encode(call))


def test_an_operation_carries_its_call() -> None:
    operation = market_operation(Sell(ENT, EUR))

    assert CONTRACT.decode(operation.call) == Sell(ENT, EUR, NEVER)
    assert operation.contract == CONTRACT.name


def test_a_newcomer_meets_so_many_orders_and_no_more() -> None:
    market = Market()
    for _ in range(3 * MAX_MET):
        market.sell(A, LOT_UENT, price("1.0"))
    market.events.clear()

    market.buy(B, 3 * MAX_MET * LOT_UENT, price("1.0"))

    assert len(market.trades()) == MAX_MET
    assert len(market.book("sell")) == 2 * MAX_MET
    assert market.left("buy") == []
    assert market.events[-1].name == "market.cancelled"
    assert market.locked(Token.EEURO, B) == 0
    outcome = Applied(tuple(market.events))
    assert decode_outcome(encode_outcome(outcome)) == outcome


def test_a_newcomer_that_meets_exactly_so_many_orders_stays_in_the_book() -> None:
    market = Market()
    for _ in range(MAX_MET):
        market.sell(A, LOT_UENT, price("1.0"))

    market.buy(B, (MAX_MET + 1) * LOT_UENT, price("1.0"))

    assert len(market.book("sell")) == 0
    assert market.left("buy") == [(B, LOT_UENT, price("1.0"))]
