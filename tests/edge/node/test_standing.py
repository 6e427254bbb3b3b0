"""Standing: lowered by kind, restored by time, and a ban that ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.node.standing import (
    FIRST_BAN_MS,
    FORGIVEN_AFTER_MS,
    FULL_STANDING,
    LONGEST_BAN_MS,
    RECOVERY_MS,
    USUAL_WEIGHT,
    Standings,
)
from tangle.effects import PeerId
from tangle.errors import (
    BadMilestoneError,
    BadPayloadError,
    BadSignatureError,
    InvalidError,
    WrongNetworkError,
)

ALICE, BOB = PeerId(b"a" * 32), PeerId(b"b" * 32)
BAD = BadSignatureError("a test")
START_MS = 1_000_000


def lower_to_ban(standings: Standings, now_ms: int, peer: PeerId = ALICE) -> int:
    for _ in range(FULL_STANDING):
        until_ms = standings.lower(peer, BAD, now_ms)
        if until_ms is not None:
            return until_ms
    raise AssertionError("no ban")


def test_a_peer_that_did_nothing_has_full_standing() -> None:
    assert Standings().points(ALICE, START_MS) == FULL_STANDING
    assert Standings().banned_until_ms(ALICE, START_MS) is None


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (BAD, 80),
        (BadMilestoneError("a test"), 50),
        (BadPayloadError("a test"), 96),
        (WrongNetworkError("a test"), 96),
    ],
)
def test_each_kind_has_its_weight(error: InvalidError, left: int) -> None:
    standings = Standings()

    ban = standings.lower(ALICE, error, START_MS)

    assert ban is None
    assert standings.points(ALICE, START_MS) == left
    assert standings.points(BOB, START_MS) == FULL_STANDING


def test_standing_recovers_a_point_a_second_and_no_further_than_full() -> None:
    standings = Standings()
    standings.lower(ALICE, BAD, START_MS)

    assert standings.points(ALICE, START_MS + RECOVERY_MS - 1) == 80
    assert standings.points(ALICE, START_MS + RECOVERY_MS) == 81
    assert standings.points(ALICE, START_MS + 10**9) == FULL_STANDING


def test_what_is_won_back_in_part_is_not_lost_by_the_next_offence() -> None:
    standings = Standings()
    standings.lower(ALICE, BAD, START_MS)

    standings.lower(ALICE, BAD, START_MS + 900)

    assert standings.points(ALICE, START_MS + 1_000) == 61


def test_the_fifth_in_a_row_is_a_ban_of_bounded_length() -> None:
    standings = Standings()

    bans = [standings.lower(ALICE, BAD, START_MS) for _ in range(6)]

    assert bans == [None] * 4 + [START_MS + FIRST_BAN_MS, None]
    assert standings.points(ALICE, START_MS) == 0
    assert standings.banned_until_ms(ALICE, START_MS + FIRST_BAN_MS - 1) == START_MS + FIRST_BAN_MS
    assert standings.banned_until_ms(ALICE, START_MS + FIRST_BAN_MS) is None
    assert standings.banned_until_ms(BOB, START_MS) is None


def test_after_a_ban_a_peer_has_half_its_standing() -> None:
    standings = Standings()

    until_ms = lower_to_ban(standings, START_MS)

    assert standings.points(ALICE, until_ms) == FULL_STANDING // 2


def test_each_ban_is_twice_as_long_up_to_a_limit_and_is_forgiven_after_a_day() -> None:
    standings = Standings()
    now_ms, lengths = START_MS, []

    for _ in range(8):
        until_ms = lower_to_ban(standings, now_ms)
        lengths.append(until_ms - now_ms)
        now_ms = until_ms
    later_ms = now_ms + FORGIVEN_AFTER_MS

    assert lengths[:3] == [FIRST_BAN_MS, 2 * FIRST_BAN_MS, 4 * FIRST_BAN_MS]
    assert lengths[-1] == LONGEST_BAN_MS
    assert lower_to_ban(standings, later_ms) == later_ms + FIRST_BAN_MS


@given(st.lists(st.integers(0, 100_000), max_size=60))
def test_whoever_offends_slower_than_it_recovers_is_never_banned(pauses_ms: list[int]) -> None:
    standings, now_ms = Standings(), START_MS

    for pause_ms in pauses_ms:
        now_ms += USUAL_WEIGHT * RECOVERY_MS + pause_ms

        assert standings.lower(ALICE, BAD, now_ms) is None
        assert 0 < standings.points(ALICE, now_ms) <= FULL_STANDING
