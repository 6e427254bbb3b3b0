"""Local difficulty: free for usual rates, and work that grows with the rate beyond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.node.local_difficulty import (
    DRAIN_PER_S,
    FREE_BURST,
    MAX_ISSUERS,
    MAX_MORE_BITS,
    LocalDifficulty,
    more_bits,
)
from tangle.errors import MoreWorkNeededError
from tangle.keys import PublicKey
from tangle.transaction import TransactionId
from tangle.work import find_nonce

ALICE, BOB = PublicKey(b"a" * 32), PublicKey(b"b" * 32)
TX = TransactionId(b"t" * 32)
START_MS = 1_000_000
BASE = 4


def after(count: int, issuer: PublicKey = ALICE) -> LocalDifficulty:
    difficulty = LocalDifficulty()
    for _ in range(count):
        difficulty.taken(issuer, START_MS)
    return difficulty


@pytest.mark.parametrize(
    ("level", "bits"),
    [
        (0, 0),
        (FREE_BURST - 1, 0),
        (FREE_BURST, 1),
        (2 * FREE_BURST - 1, 1),
        (2 * FREE_BURST, 2),
        (4 * FREE_BURST, 3),
        (FREE_BURST << 20, MAX_MORE_BITS),
    ],
)
def test_a_bit_more_for_every_doubling(level: int, bits: int) -> None:
    assert more_bits(level) == bits


def test_who_keeps_to_the_rate_is_never_asked_for_more() -> None:
    difficulty = LocalDifficulty()

    for number in range(4 * FREE_BURST):
        now_ms = START_MS + number * 1_000 // DRAIN_PER_S
        assert difficulty.more_bits(ALICE, now_ms) == 0
        difficulty.taken(ALICE, now_ms)


def test_one_issuer_does_not_make_it_harder_for_another() -> None:
    difficulty = after(FREE_BURST)

    assert difficulty.more_bits(ALICE, START_MS) == 1
    assert difficulty.more_bits(BOB, START_MS) == 0


def test_too_little_work_is_told_with_what_was_found_and_asked_and_when_to_retry() -> None:
    difficulty = after(2 * FREE_BURST + 7)
    enough, less = find_nonce(TX, BASE + 2), exactly(BASE + 1)

    difficulty.verify(ALICE, TX, enough, BASE, START_MS)
    with pytest.raises(MoreWorkNeededError) as caught:
        difficulty.verify(ALICE, TX, less, BASE, START_MS)

    error = caught.value
    assert (error.bits_found, error.bits_asked) == (BASE + 1, BASE + 2)
    assert error.retry_ms == 438  # 7 transactions and a thousandth of one, at 16 a second
    difficulty.verify(ALICE, TX, less, BASE, START_MS + error.retry_ms)
    with pytest.raises(MoreWorkNeededError):
        difficulty.verify(ALICE, TX, less, BASE, START_MS + error.retry_ms - 1)


def exactly(bits: int) -> bytes:
    """Return a nonce with as many zero bits and no more."""
    nonce = find_nonce(TX, bits)
    while nonce == find_nonce(TX, bits + 1, int.from_bytes(nonce, "big")):
        nonce = find_nonce(TX, bits, int.from_bytes(nonce, "big") + 1)
    return nonce


def test_the_node_does_the_work_of_the_network_and_no_more() -> None:
    difficulty = after(FREE_BURST)

    difficulty.verify(BOB, TX, None, BASE, START_MS)
    with pytest.raises(MoreWorkNeededError, match="4 leading zero bits of work, 5 are asked"):
        difficulty.verify(ALICE, TX, None, BASE, START_MS)


def test_less_than_the_networks_work_is_not_for_the_door_to_judge() -> None:
    after(FREE_BURST).verify(ALICE, TX, exactly(BASE - 1), BASE, START_MS)


def test_only_so_many_issuers_are_remembered() -> None:
    difficulty = after(FREE_BURST)

    for number in range(MAX_ISSUERS):
        difficulty.taken(PublicKey(number.to_bytes(32, "big")), START_MS)

    assert difficulty.more_bits(ALICE, START_MS) == 0


@given(st.lists(st.integers(0, 5_000), max_size=300), st.integers(0, MAX_MORE_BITS - 1))
def test_what_is_found_is_enough_when_the_retry_says_so(pauses_ms: list[int], more: int) -> None:
    difficulty, now_ms = LocalDifficulty(), START_MS
    for pause_ms in pauses_ms:
        now_ms += pause_ms // 100
        difficulty.taken(ALICE, now_ms)

    retry_ms = difficulty.retry_ms(ALICE, more, now_ms)

    assert difficulty.more_bits(ALICE, now_ms + retry_ms) <= more
    if retry_ms:
        assert difficulty.more_bits(ALICE, now_ms + retry_ms - 1) > more
