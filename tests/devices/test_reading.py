from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.reading import (
    MAX_READING_SIZE,
    Reading,
    SignedReading,
    decode_reading,
    encode_reading,
    salted_leaf,
    sign_reading,
    verify_reading,
    verify_successor,
)
from tangle.address import address_of
from tangle.codec import encode
from tangle.errors import InvalidReadingError, MalformedBytesError
from tangle.hashing import digest, domain
from tangle.transaction import MAX_INTEGER
from tests.devices.homes import DEVICE, METER, NETWORK, OTHER_METER, OTHER_NETWORK, reading, signed

counters = st.integers(0, MAX_INTEGER)
readings = st.builds(
    Reading,
    network=st.binary(min_size=8, max_size=8),
    device=st.binary(min_size=32, max_size=32),
    sequence=counters,
    interval_start_ms=counters,
    interval_end_ms=counters,
    import_wh=counters,
    export_wh=counters,
    quality=st.sampled_from(["measured", "estimated"]),
)


@given(readings)
def test_a_signed_reading_has_one_spelling(drawn: Reading) -> None:
    spelled = encode_reading(sign_reading(drawn, METER))

    assert decode_reading(spelled).reading == drawn
    assert len(spelled) <= MAX_READING_SIZE
    with pytest.raises(MalformedBytesError):
        decode_reading(spelled + b"\0")
    with pytest.raises(MalformedBytesError):
        decode_reading(spelled[:-1])


def test_the_largest_reading_fits_the_stated_size() -> None:
    most = MAX_INTEGER
    largest = Reading(NETWORK, DEVICE, most, most, most, most, most, "estimated")

    assert len(encode_reading(sign_reading(largest, METER))) <= 180


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("network", bytes(7), id="short network"),
        pytest.param("device", bytes(33), id="long device"),
        pytest.param("sequence", -1, id="negative sequence"),
        pytest.param("sequence", 2**63, id="sequence beyond an integer of a database"),
        pytest.param("import_wh", -1, id="negative register"),
        pytest.param("export_wh", 1.5, id="a float"),
        pytest.param("quality", "guessed", id="unknown quality"),
    ],
)
def test_decoding_refuses_a_field_out_of_its_range(field: str, value: object) -> None:
    fields: dict[str, Any] = {**msgspec.structs.asdict(reading()), field: value}
    spelled = encode([list(fields.values()), bytes(64)])

    with pytest.raises(MalformedBytesError):
        decode_reading(spelled)


def test_decoding_refuses_ten_megabytes_without_reading_them() -> None:
    with pytest.raises(MalformedBytesError, match="10000000 bytes: the maximum is 256"):
        decode_reading(bytes(10_000_000))


def test_a_reading_as_its_meter_signed_it_passes() -> None:
    verify_reading(signed(), METER.public, NETWORK)


@pytest.mark.parametrize(
    ("forged", "rule"),
    [
        pytest.param(
            sign_reading(reading(network=OTHER_NETWORK), METER),
            "is for network 00000",
            id="network",
        ),
        pytest.param(
            sign_reading(reading(device=address_of(OTHER_METER.public)), METER),
            "is of device",
            id="device of another key",
        ),
        pytest.param(
            sign_reading(reading(start_ms=5, end_ms=5), METER),
            r"must end \(5 ms\) after it starts \(5 ms\)",
            id="empty interval",
        ),
        pytest.param(sign_reading(reading(), OTHER_METER), "is not by key", id="another signer"),
        pytest.param(
            SignedReading(reading(import_wh=99), signed().signature), "is not by key", id="altered"
        ),
        pytest.param(
            SignedReading(reading(), METER.sign(domain("receipt") + encode(reading()))),
            "is not by key",
            id="signed as something else",
        ),
    ],
)
def test_a_forged_reading_is_refused(forged: SignedReading, rule: str) -> None:
    with pytest.raises(InvalidReadingError, match=rule):
        verify_reading(forged, METER.public, NETWORK)


def test_the_next_reading_may_repeat_the_registers_and_leave_out_time() -> None:
    verify_successor(reading(4), reading(5))
    verify_successor(reading(4), reading(5, start_ms=9 * 900_000, end_ms=10 * 900_000))


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        pytest.param({"sequence": 4}, "reading 4 cannot follow 4", id="repeated sequence"),
        pytest.param({"sequence": 6}, "reading 6 cannot follow 4", id="skipped sequence"),
        pytest.param(
            {"import_wh": 99}, "import register falls from 100 Wh to 99 Wh", id="import falls"
        ),
        pytest.param(
            {"export_wh": 49}, "export register falls from 50 Wh to 49 Wh", id="export falls"
        ),
        pytest.param(
            {"start_ms": 5 * 900_000 - 1}, "before the previous one ended at 4500000", id="overlap"
        ),
        pytest.param({"network": OTHER_NETWORK}, "cannot follow one of", id="other network"),
        pytest.param({"device": bytes(32)}, "cannot follow one of", id="other device"),
    ],
)
def test_a_reading_that_does_not_continue_is_refused(changed: Mapping[str, Any], rule: str) -> None:
    following = reading(**{"sequence": 5, **changed})

    with pytest.raises(InvalidReadingError, match=rule):
        verify_successor(reading(4), following)


def test_a_leaf_commits_to_salt_and_bytes() -> None:
    salt, spelled = bytes(range(32)), encode_reading(signed())

    leaf = salted_leaf(salt, spelled)

    assert leaf == digest(b"tanglewatt/reading-leaf/1\0" + salt + spelled)
    assert salted_leaf(bytes(32), spelled) != leaf
    assert salted_leaf(salt, encode_reading(signed(1))) != leaf


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        salted_leaf(bytes(31), b"")
