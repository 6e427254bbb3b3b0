from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.codec import Decoder, encode
from tangle.errors import MalformedBytesError


class Circle(msgspec.Struct, frozen=True, array_like=True, tag="circle"):
    radius: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    name: Annotated[str, msgspec.Meta(max_length=300)] = "o"


class Path(msgspec.Struct, frozen=True, array_like=True, tag="path"):
    points: Annotated[tuple[int, ...], msgspec.Meta(max_length=70_000)]
    blob: Annotated[bytes, msgspec.Meta(max_length=70_000)] = b""
    below: "Path | None" = None


class Drawing(msgspec.Struct, frozen=True, array_like=True):
    shape: Circle | Path


MAX_SIZE = 400_000
drawings = Decoder(Drawing, "drawing", MAX_SIZE)
NAME = b"\xa1o"

shapes = st.builds(Circle, st.integers(0, 2**63 - 1), st.text(max_size=300)) | st.builds(
    Path, st.lists(st.integers(-(2**63), 2**64 - 1)).map(tuple), st.binary()
)


@given(shapes)
def test_a_value_is_read_back_from_its_bytes(shape: Circle | Path) -> None:
    assert drawings.decode(encode(Drawing(shape))) == Drawing(shape)


@given(st.binary(max_size=40) | shapes.map(lambda shape: encode(Drawing(shape))[:-1]))
def test_whatever_decodes_encodes_to_the_very_same_bytes(data: bytes) -> None:
    try:
        value = drawings.decode(data)
    except MalformedBytesError:
        return

    assert encode(value) == data


@given(shapes, st.data())
def test_two_spellings_never_decode_to_one_value(shape: Circle | Path, data: st.DataObject) -> None:
    spelt = bytearray(encode(Drawing(shape)))
    at = data.draw(st.integers(0, len(spelt) - 1))
    spelt[at] ^= data.draw(st.integers(1, 255))

    try:
        other = drawings.decode(bytes(spelt))
    except MalformedBytesError:
        return

    assert other != Drawing(shape)


INTEGERS = {
    127: ("7f", ["cc7f", "cd007f", "ce0000007f", "cf000000000000007f", "d07f", "d1007f"]),
    128: ("cc80", ["cd0080", "ce00000080", "cf0000000000000080", "d10080"]),
    255: ("ccff", ["cd00ff", "d100ff", "d2000000ff"]),
    256: ("cd0100", ["ce00000100", "d10100"]),
    65_535: ("cdffff", ["ce0000ffff", "d20000ffff"]),
    65_536: ("ce00010000", ["cf0000000000010000", "d200010000", "d30000000000010000"]),
    2**32 - 1: ("ceffffffff", ["cf00000000ffffffff", "d300000000ffffffff"]),
    2**32: ("cf0000000100000000", ["d30000000100000000"]),
    0: ("00", ["cc00", "d000", "ca00000000", "cb0000000000000000", "c2"]),
}


@pytest.mark.parametrize("number", INTEGERS)
def test_an_integer_has_its_shortest_form_only(number: int) -> None:
    shortest, longer = INTEGERS[number]
    before, after = b"\x91\x93\xa6circle", NAME

    spelt = before + bytes.fromhex(shortest) + after

    assert drawings.decode(spelt) == Drawing(Circle(number))
    for form in longer:
        with pytest.raises(MalformedBytesError):
            drawings.decode(before + bytes.fromhex(form) + after)


@pytest.mark.parametrize(
    ("size", "shortest", "longer"),
    [
        (0, "a0", ["d900", "da0000", "db00000000", "c400"]),
        (31, "bf", ["d91f", "da001f"]),
        (32, "d920", ["da0020", "db00000020"]),
        (255, "d9ff", ["da00ff"]),
        (256, "da0100", ["db00000100"]),
    ],
)
def test_text_has_its_shortest_length_only(size: int, shortest: str, longer: list[str]) -> None:
    before, after = b"\x91\x93\xa6circle\x05", b"x" * size

    assert drawings.decode(before + bytes.fromhex(shortest) + after).shape == Circle(5, "x" * size)
    for form in longer:
        with pytest.raises(MalformedBytesError):
            drawings.decode(before + bytes.fromhex(form) + after)


@pytest.mark.parametrize(
    ("size", "shortest", "longer"),
    [
        (0, "c400", ["c50000", "c600000000", "a0"]),
        (255, "c4ff", ["c500ff", "c6000000ff"]),
        (256, "c50100", ["c600000100"]),
        (65_535, "c5ffff", ["c60000ffff"]),
        (65_536, "c600010000", []),
    ],
)
def test_bytes_have_their_shortest_length_only(size: int, shortest: str, longer: list[str]) -> None:
    before, after = b"\x91\x94\xa4path\x90", b"x" * size + b"\xc0"

    assert drawings.decode(before + bytes.fromhex(shortest) + after).shape == Path((), b"x" * size)
    for form in longer:
        with pytest.raises(MalformedBytesError):
            drawings.decode(before + bytes.fromhex(form) + after)


@pytest.mark.parametrize(
    ("size", "shortest", "longer"),
    [
        (15, "9f", ["dc000f", "dd0000000f"]),
        (16, "dc0010", ["dd00000010"]),
        (65_535, "dcffff", ["dd0000ffff"]),
        (65_536, "dd00010000", []),
    ],
)
def test_an_array_has_its_shortest_length_only(size: int, shortest: str, longer: list[str]) -> None:
    before, after = b"\x91\x94\xa4path", bytes(size) + b"\xc4\0\xc0"

    assert drawings.decode(before + bytes.fromhex(shortest) + after).shape == Path((0,) * size)
    for form in longer:
        with pytest.raises(MalformedBytesError):
            drawings.decode(before + bytes.fromhex(form) + after)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="a byte that MessagePack never uses"),
        pytest.param(b"\x91\x93\xa6circle\x05\xa1o\0", id="trailing byte"),
        pytest.param(b"\x91\x93\xa6circle\x05\xa1", id="cut short"),
        pytest.param(b"\x91\x92\xa6circle\x05", id="default left out"),
        pytest.param(b"\x91\x94\xa6circle\x05\xa1o\0", id="additional field"),
        pytest.param(b"\x92\x93\xa6circle\x05\xa1o\0", id="additional field outside"),
        pytest.param(b"\x91\x93\xa6square\x05\xa1o", id="unknown tag"),
        pytest.param(b"\x91\x93\0\x05\xa1o", id="number as the tag"),
        pytest.param(b"\x91\x90", id="no tag"),
        pytest.param(b"\x91\x83\xa4type\xa6circle\xa6radius\x05\xa4name\xa1o", id="map"),
        pytest.param(b"\x81\xa5shape\x93\xa6circle\x05\xa1o", id="map outside"),
        pytest.param(b"\x91\x93\xa6circle\xca\x40\xa0\0\0\xa1o", id="float that is whole"),
        pytest.param(b"\x91\x93\xa6circle\xcb\x7f\xf8" + bytes(6) + b"\xa1o", id="not a number"),
        pytest.param(b"\x91\x93\xa6circle\xa15\xa1o", id="number as text"),
        pytest.param(b"\x91\x93\xa6circle\xff\xa1o", id="below the range"),
        pytest.param(b"\x91\x93\xa6circle\xcf\x80" + bytes(7) + b"\xa1o", id="above the range"),
        pytest.param(b"\x91\x93\xa6circle\x05\xa1\xff", id="text that is not UTF-8"),
        pytest.param(b"\x91\x93\xa6circle\x05\xa3\xed\xa0\x80", id="surrogate in UTF-8"),
        pytest.param(b"\x91\x93\xa6circle\x05\xa2\xc1\x81", id="long form of UTF-8"),
        pytest.param(b"\x91\x93\xa6circle\x05\xda\x01\x2d" + b"x" * 301, id="long text"),
        pytest.param(b"\x91\x93\xa6circle\xd6\xff\0\0\0\x05\xa1o", id="timestamp"),
        pytest.param(b"\xc0", id="nil"),
    ],
)
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedBytesError, match=f"^drawing of {len(data)} bytes"):
        drawings.decode(data)


def test_bytes_of_just_the_stated_size_are_read() -> None:
    spelt = encode(Drawing(Circle(5)))

    assert Decoder(Drawing, "drawing", len(spelt)).decode(spelt) == Drawing(Circle(5))
    with pytest.raises(MalformedBytesError):
        Decoder(Drawing, "drawing", len(spelt) - 1).decode(spelt)


def test_bytes_beyond_the_stated_size_are_not_even_looked_at() -> None:
    with pytest.raises(MalformedBytesError, match=f"{MAX_SIZE + 1} bytes: the maximum is"):
        drawings.decode(b"\x91" * (MAX_SIZE + 1))


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"\x91\x94\xa4path\xdd\xff\xff\xff\xff", id="four billion elements"),
        pytest.param(b"\x91\x94\xa4path\x90\xc6\xff\xff\xff\xff", id="four billion bytes"),
        pytest.param(b"\x91\x93\xa6circle\x05\xdb\xff\xff\xff\xff", id="four billion letters"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="four billion fields"),
        pytest.param(b"\x91\x94\xa6circle\x05\xa1o" + b"\x91" * 300_000, id="nested and skipped"),
        pytest.param(b"\x91" + b"\x94\xa4path\x90\xc4\0" * 50_000, id="nested"),
        pytest.param(b"\x91" * 300_000, id="arrays all the way down"),
    ],
)
def test_a_bomb_is_refused_without_room_being_made_for_it(bomb: bytes) -> None:
    with pytest.raises(MalformedBytesError):
        drawings.decode(bomb)
