import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.journal.entries import TakenReading
from edge.journal.sealing import NONCE_SIZE, SaltedReading, open_sealed, seal, sealing_key
from tangle.address import Address
from tangle.errors import DamagedStoreError
from tangle.transaction import MAX_INTEGER
from tests.edge.making import DEVICE, NODE, OTHER_DEVICE, OTHER_NODE, SALT, posted

KEY = sealing_key(NODE)
NONCE = bytes(range(NONCE_SIZE))
CONTENT = SaltedReading(SALT, posted(7))
SEALED = seal(KEY, DEVICE, 7, CONTENT, NONCE)


@given(st.integers(0, MAX_INTEGER), st.binary(min_size=32, max_size=32), st.binary(max_size=256))
def test_what_is_sealed_opens(sequence: int, salt: bytes, signed: bytes) -> None:
    content = SaltedReading(salt, signed)

    taken = seal(KEY, DEVICE, sequence, content, NONCE)

    assert (taken.device, taken.sequence) == (DEVICE, sequence)
    assert open_sealed(KEY, taken) == content


def test_neither_reading_nor_salt_shows() -> None:
    assert SALT not in SEALED.sealed
    assert CONTENT.signed[:16] not in SEALED.sealed


def test_the_key_is_neither_the_node_s_own_nor_another_node_s() -> None:
    assert len({KEY, NODE.seed, sealing_key(OTHER_NODE)}) == 3


@pytest.mark.parametrize(
    ("key", "device", "sequence", "sealed"),
    [
        pytest.param(sealing_key(OTHER_NODE), DEVICE, 7, SEALED.sealed, id="another node"),
        pytest.param(KEY, OTHER_DEVICE, 7, SEALED.sealed, id="moved to another device"),
        pytest.param(KEY, DEVICE, 8, SEALED.sealed, id="moved to another sequence"),
        pytest.param(KEY, DEVICE, 7, SEALED.sealed[:-1], id="cut short"),
        pytest.param(KEY, DEVICE, 7, b"", id="empty"),
        pytest.param(KEY, DEVICE, 7, bytes(24) + SEALED.sealed[24:], id="another nonce"),
        pytest.param(KEY, DEVICE, 7, SEALED.sealed[:-1] + b"\0", id="altered"),
    ],
)
def test_what_is_not_as_it_was_sealed_does_not_open(
    key: bytes, device: Address, sequence: int, sealed: bytes
) -> None:
    with pytest.raises(DamagedStoreError, match=f"sealed reading {sequence} of device"):
        open_sealed(key, TakenReading(device, sequence, sealed))
