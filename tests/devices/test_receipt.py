import pytest

from devices.receipt import (
    MAX_RECEIPT_SIZE,
    Receipt,
    SignedReceipt,
    decode_receipt,
    encode_receipt,
    sign_receipt,
    verify_receipt,
)
from tangle.codec import encode
from tangle.errors import InvalidReceiptError, MalformedBytesError
from tangle.hashing import domain
from tangle.transaction import MAX_INTEGER
from tests.devices.homes import DEVICE, EDGE, NETWORK, OTHER_EDGE, OTHER_NETWORK

GOOD = Receipt(NETWORK, DEVICE, 6)


def test_a_receipt_of_the_home_edge_passes() -> None:
    signed = decode_receipt(encode_receipt(sign_receipt(GOOD, EDGE)))

    verify_receipt(signed, EDGE.public, NETWORK, DEVICE, produced=7)

    assert signed.receipt == GOOD


def test_the_largest_receipt_fits_the_stated_size() -> None:
    largest = sign_receipt(Receipt(NETWORK, DEVICE, MAX_INTEGER), EDGE)

    assert len(encode_receipt(largest)) <= 160 < MAX_RECEIPT_SIZE


@pytest.mark.parametrize(
    ("forged", "rule"),
    [
        pytest.param(sign_receipt(GOOD, OTHER_EDGE), "not by the home edge", id="another edge"),
        pytest.param(
            sign_receipt(Receipt(OTHER_NETWORK, DEVICE, 6), EDGE),
            "is for network 0000000000000000",
            id="another network",
        ),
        pytest.param(
            sign_receipt(Receipt(NETWORK, bytes(32), 6), EDGE), "is for device 00", id="device"
        ),
        pytest.param(
            sign_receipt(Receipt(NETWORK, DEVICE, 7), EDGE),
            "receipt through 7: only 7 readings were produced",
            id="beyond what was produced",
        ),
        pytest.param(
            SignedReceipt(GOOD, EDGE.public, sign_receipt(GOOD, OTHER_EDGE).signature),
            "is not by key",
            id="signed by another key under the edge's name",
        ),
        pytest.param(
            SignedReceipt(GOOD, EDGE.public, EDGE.sign(domain("reading") + encode(GOOD))),
            "is not by key",
            id="signed as something else",
        ),
    ],
)
def test_a_forged_receipt_is_refused(forged: SignedReceipt, rule: str) -> None:
    with pytest.raises(InvalidReceiptError, match=rule):
        verify_receipt(forged, EDGE.public, NETWORK, DEVICE, produced=7)


def test_bytes_that_are_no_receipt_are_refused() -> None:
    with pytest.raises(MalformedBytesError, match="receipt of 5 bytes"):
        decode_receipt(b"hello")
