"""The compiled loop judges as libsodium does, signature by signature: one rule on every path."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.keys import SignedMessage, SigningKey, is_opened, is_signed
from tangle.signature_kernel import SignatureKernel, is_compiled
from tests.vectors import load

pytestmark = pytest.mark.skipif(not is_compiled(), reason="llvmlite has no wheel here")

DISPUTED = load("signatures")
MESSAGE = bytes.fromhex(DISPUTED["message"])
CASES: list[SignedMessage] = [
    (bytes.fromhex(case["public_key"]), bytes.fromhex(case["signature"]) + MESSAGE)
    for case in DISPUTED["cases"]
]
WANTED = [case["valid"] for case in DISPUTED["cases"]]
KEYS = [SigningKey(bytes([n]) * 32) for n in range(1, 5)]


@pytest.fixture(scope="module")
def kernel() -> SignatureKernel:
    return SignatureKernel()


def one_by_one(messages: list[SignedMessage]) -> list[bool]:
    return [is_opened(key, signed) for key, signed in messages]


def signed(number: int, message: bytes) -> SignedMessage:
    key = KEYS[number % len(KEYS)]
    return key.public, key.sign(message) + message


def test_the_disputed_cases_are_judged_the_same_on_every_path(kernel: SignatureKernel) -> None:
    assert True in WANTED
    assert False in WANTED
    assert one_by_one(CASES) == WANTED
    assert [is_signed(key, MESSAGE, data[:64]) for key, data in CASES] == WANTED
    assert kernel.verdicts(CASES) == WANTED
    assert [kernel.verdicts([case])[0] for case in CASES] == WANTED


def test_a_verdict_is_of_its_own_signature_whatever_stands_beside_it(
    kernel: SignatureKernel,
) -> None:
    rng = Random(7)
    for _ in range(50):
        order = rng.sample(range(len(CASES)), len(CASES))

        assert kernel.verdicts([CASES[at] for at in order]) == [WANTED[at] for at in order]


@given(st.lists(st.tuples(st.binary(max_size=400), st.integers(-1, 63 + 400)), max_size=12))
def test_one_changed_bit_is_found_wherever_it_is(parts: list[tuple[bytes, int]]) -> None:
    messages = []
    for number, (message, place) in enumerate(parts):
        key, data = signed(number, message)
        if 0 <= place < len(data):
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        messages.append((key, data))

    found = SignatureKernel().verdicts(messages)

    assert found == one_by_one(messages)
    assert found == [not 0 <= place < 64 + len(message) for message, place in parts]


def test_what_is_shorter_than_a_signature_is_none(kernel: SignatureKernel) -> None:
    good = signed(0, b"after it")

    assert kernel.verdicts([(good[0], b""), good, (good[0], bytes(63)), good]) == [
        False,
        True,
        False,
        True,
    ]


def test_nothing_to_judge_is_no_verdict(kernel: SignatureKernel) -> None:
    assert kernel.verdicts([]) == []


def test_a_key_of_another_length_is_a_bug(kernel: SignatureKernel) -> None:
    with pytest.raises(AssertionError, match="another length"):
        kernel.verdicts([(bytes(31), bytes(70))])


def test_several_threads_may_judge_at_once(kernel: SignatureKernel) -> None:
    batches = [
        [signed(n, b"%d of %d" % (n, batch)) for n in range(40)] + CASES for batch in range(16)
    ]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(kernel.verdicts, batches))

    assert found == [[True] * 40 + WANTED] * 16
