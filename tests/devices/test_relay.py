"""A relay, with a clock made of integers."""

import pytest

from devices.relay import (
    FRESH_INTERVALS,
    LOST_INTERVALS,
    Order,
    Relay,
    obeying,
    released,
    released_at_ms,
)

INTERVAL_MS = 2_000
NOW_MS = 1_000_000
FRESH_MS = FRESH_INTERVALS * INTERVAL_MS
LOST_MS = LOST_INTERVALS * INTERVAL_MS


def order(index: int, limit_w: int | None, age_ms: int = 0) -> Order:
    return Order(index, NOW_MS - age_ms, limit_w)


def after(*orders: Order) -> Relay:
    relay = Relay()
    for one in orders:
        relay = obeying(relay, one, NOW_MS, INTERVAL_MS)
    return relay


@pytest.mark.parametrize("limit_w", [0, 500])
def test_a_fresh_order_interrupts_or_limits(limit_w: int) -> None:
    relay = after(order(7, limit_w))

    assert relay == Relay(limit_w, "proof", NOW_MS, 7, NOW_MS)


@pytest.mark.parametrize("age_ms", [FRESH_MS + 1, -FRESH_MS - 1, 10**9])
def test_an_order_of_another_time_does_not_interrupt(age_ms: int) -> None:
    assert after(order(7, 0, age_ms)) == Relay()


@pytest.mark.parametrize("age_ms", [FRESH_MS, 0, -FRESH_MS])
def test_an_order_at_the_edge_of_fresh_interrupts(age_ms: int) -> None:
    assert after(order(7, 0, age_ms)).limit_w == 0


def test_an_older_milestone_than_the_last_changes_nothing() -> None:
    closed = after(order(7, 0), order(8, None))

    assert closed.limit_w is None
    assert obeying(closed, order(7, 0), NOW_MS, INTERVAL_MS) == closed
    assert obeying(closed, order(8, 0), NOW_MS, INTERVAL_MS) == closed


def test_the_opposite_proof_closes_however_old_it_is() -> None:
    relay = after(order(7, 0), order(8, None, 10**6))

    assert (relay.limit_w, relay.why) == (None, "proof")


def test_lost_contact_closes_and_a_stale_order_does_not_prolong_it() -> None:
    relay = after(order(7, 0))
    last_ms = NOW_MS + LOST_MS

    assert released(relay, last_ms, INTERVAL_MS) == relay
    stale = obeying(relay, order(8, 0), last_ms, INTERVAL_MS)
    assert released_at_ms(stale, INTERVAL_MS) == last_ms + 1
    closed = released(stale, last_ms + 1, INTERVAL_MS)
    assert (closed.limit_w, closed.why, closed.since_ms) == (None, "contact lost", last_ms + 1)


def test_a_fresh_order_prolongs_without_switching() -> None:
    relay = after(order(7, 0))
    later = Order(8, NOW_MS + 2_000, 0)

    prolonged = obeying(relay, later, NOW_MS + 2_000, INTERVAL_MS)

    assert prolonged.since_ms == NOW_MS
    assert released_at_ms(prolonged, INTERVAL_MS) == NOW_MS + 2_000 + LOST_MS + 1


def test_a_closed_relay_waits_for_nothing() -> None:
    assert released_at_ms(Relay(), INTERVAL_MS) is None
    assert released(Relay(), 10**15, INTERVAL_MS) == Relay()
