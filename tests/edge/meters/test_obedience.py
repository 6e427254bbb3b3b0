from edge.meters.obedience import (
    GRACE_INTERVALS,
    MIN_READINGS,
    SLACK_WH,
    Obedience,
    judged,
    said,
    served,
    unserved,
)

INTERVAL_MS = 2_000
HOUR_MS = 3_600_000
GRACE_MS = GRACE_INTERVALS * INTERVAL_MS


def ordered(limit_w: int = 0) -> Obedience:
    return served(Obedience(), 5, 0, limit_w)


def reads(one: Obedience, *imports_wh: int, start_ms: int = GRACE_MS) -> Obedience:
    """Judge a reading an hour from `start_ms` on."""
    for at, import_wh in enumerate(imports_wh):
        begin_ms = start_ms + at * HOUR_MS
        one = judged(one, (begin_ms, begin_ms + HOUR_MS), import_wh, INTERVAL_MS)
    return one


def test_a_meter_that_goes_on_drawing_does_not_obey() -> None:
    one = reads(ordered(), 500, 400)

    assert one.disobeys
    assert one.excess_wh == 900 - 2 * SLACK_WH
    assert one.disobeyed_at_ms == GRACE_MS + 2 * HOUR_MS
    assert MIN_READINGS == 2


def test_one_reading_may_be_of_a_meter_that_lost_contact() -> None:
    assert not reads(ordered(), 500).disobeys
    assert not reads(ordered(), 500, 0, 500).disobeys


def test_what_is_left_to_a_protected_customer_may_be_drawn() -> None:
    assert reads(ordered(600), 600, 600, 600).in_a_row == 0
    assert reads(ordered(600), 602, 602).disobeys


def test_what_was_drawn_before_the_order_or_in_its_grace_is_not_held_against_anyone() -> None:
    assert reads(ordered(), 500, 500, start_ms=GRACE_MS - 1).in_a_row == 1
    assert reads(ordered(), 500, start_ms=-HOUR_MS).in_a_row == 0
    assert reads(Obedience(), 500, 500).in_a_row == 0


def test_a_lowered_limit_counts_from_the_next_order_on() -> None:
    lowered = served(ordered(600), 6, INTERVAL_MS, 100)

    assert not reads(lowered, 600, 600).disobeys
    anew = served(served(lowered, 7, 0, None), 8, 0, 100)
    assert reads(anew, 600, 600).disobeys


def test_the_end_of_an_order_and_a_broken_line_end_the_count() -> None:
    late = reads(ordered(), 500, 500)

    for one in (served(late, 6, 1, None), unserved(late)):
        assert not one.disobeys
        assert one.limit_w is None
        assert one.disobeyed_at_ms == late.disobeyed_at_ms


def test_what_a_meter_says_is_kept_beside_what_it_does() -> None:
    one = said(reads(ordered(), 500, 500), 0, 5, 77)

    assert (one.said_limit_w, one.said_index, one.said_at_ms) == (0, 5, 77)
    assert one.disobeys
