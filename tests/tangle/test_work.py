import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle import work, work_kernel
from tangle.errors import MissingWorkError
from tangle.hashing import digest
from tangle.transaction import NONCE_SIZE, TransactionId
from tangle.work import find_nonce, leading_zero_bits, required_bits, verify_work

ids = st.binary(min_size=32, max_size=32).map(TransactionId)
TX_ID = TransactionId(digest(b"tx"))


@pytest.mark.parametrize(
    ("size_bytes", "work_per_byte", "bits"),
    [
        (256, 64, 14),
        (257, 64, 15),
        (512, 64, 15),
        (513, 64, 16),
        (1, 64, 6),
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 2),
        (300, 0, 0),
        (32_768, 2**20, 35),
    ],
)
def test_the_price_is_the_power_of_two_that_covers_the_bytes(
    size_bytes: int, work_per_byte: int, bits: int
) -> None:
    assert required_bits(size_bytes, work_per_byte) == bits


@given(st.integers(0, 32_768), st.integers(0, 2**20))
def test_no_cheaper_price_covers_the_bytes(size_bytes: int, work_per_byte: int) -> None:
    bits = required_bits(size_bytes, work_per_byte)

    assert 2**bits >= size_bytes * work_per_byte
    assert bits == 0 or 2 ** (bits - 1) < size_bytes * work_per_byte


@given(ids, st.integers(0, 8), st.integers(0, 2**32))
def test_a_found_nonce_is_the_first_that_carries_its_work(
    tx_id: TransactionId, bits: int, start: int
) -> None:
    nonce = find_nonce(tx_id, bits, start)

    verify_work(tx_id, nonce, bits)
    assert len(nonce) == NONCE_SIZE
    for number in range(start, int.from_bytes(nonce, "big")):
        assert leading_zero_bits(tx_id, number.to_bytes(NONCE_SIZE, "big")) < bits


@given(ids, st.binary(min_size=8, max_size=8))
def test_zero_bits_are_counted_from_the_front(tx_id: TransactionId, nonce: bytes) -> None:
    spelt = "".join(f"{byte:08b}" for byte in digest(tx_id + nonce))

    assert leading_zero_bits(tx_id, nonce) == len(spelt) - len(spelt.lstrip("0"))


def test_one_bit_too_few_is_refused_with_both_numbers() -> None:
    nonce = find_nonce(TX_ID, 6)
    found = leading_zero_bits(TX_ID, nonce)

    verify_work(TX_ID, nonce, found)
    with pytest.raises(MissingWorkError, match=f"{found} leading .* {found + 1} are required"):
        verify_work(TX_ID, nonce, found + 1)


def test_work_for_one_transaction_is_none_for_another() -> None:
    nonce = find_nonce(TX_ID, 12)

    with pytest.raises(MissingWorkError):
        verify_work(TransactionId(digest(b"other")), nonce, 12)


@given(ids, st.integers(0, 12), st.integers(0, 2**40))
def test_the_compiled_search_finds_the_same_nonce(
    tx_id: TransactionId, bits: int, start: int
) -> None:
    assert work_kernel.find_nonce(tx_id, bits, start) == find_nonce(tx_id, bits, start)


def test_the_compiled_search_goes_on_beyond_one_call() -> None:
    nonce = work_kernel.find_nonce(TX_ID, 20)

    verify_work(TX_ID, nonce, 20)
    assert int.from_bytes(nonce, "big") > work_kernel.TRIALS_PER_CALL


def test_the_compiled_search_as_plain_python_does_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = work_kernel.find_nonce(TX_ID, 5, 3)
    for name in ("search", "_compress", "_turned", "_swapped"):
        monkeypatch.setattr(work_kernel, name, getattr(work_kernel, name).py_func)

    with np.errstate(over="ignore"):  # 64 bits run over on purpose
        assert work_kernel.find_nonce(TX_ID, 5, 3) == found


def test_a_search_gives_up_far_beyond_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_TRIALS", 2 * work_kernel.TRIALS_PER_CALL)

    with pytest.raises(AssertionError, match="63 zero bits"):
        work_kernel.find_nonce(TX_ID, 63)
