import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.address import (
    _ALPHABET,
    Address,
    _expanded,
    _polymod,
    address_of,
    bytes_to_symbols,
    decode_address,
    decode_bech32m,
    encode_address,
    encode_bech32m,
    symbols_to_bytes,
)
from tangle.errors import InvalidAddressError
from tests.vectors import load

BIP_350 = load("bech32m")
ADDRESS = address_of(bytes(range(32)))
TEXT = encode_address(ADDRESS)


@pytest.mark.parametrize("text", BIP_350["valid"])
def test_a_valid_string_of_bip_350_is_read_and_written_again(text: str) -> None:
    prefix, symbols = decode_bech32m(text)

    assert encode_bech32m(prefix, symbols) == text.lower()


@pytest.mark.parametrize(
    "text",
    [pytest.param(case["text"], id=case["reason"]) for case in BIP_350["invalid"]],
)
def test_an_invalid_string_of_bip_350_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddressError):
        decode_bech32m(text)


@pytest.mark.parametrize("case", BIP_350["programs"], ids=lambda case: case["text"])
def test_a_witness_program_of_bip_350_is_read(case: dict[str, str | int]) -> None:
    prefix, symbols = decode_bech32m(str(case["text"]))

    assert (prefix, symbols[0]) == (case["prefix"], case["version"])
    assert symbols_to_bytes(symbols[1:]).hex() == case["program"]


@pytest.mark.parametrize(
    "text",
    [pytest.param(case["text"], id=case["reason"]) for case in BIP_350["invalid_programs"]],
)
def test_an_invalid_witness_program_of_bip_350_is_refused(text: str) -> None:
    with pytest.raises((InvalidAddressError, ValueError)):
        symbols_to_bytes(decode_bech32m(text)[1][1:])


@pytest.mark.parametrize("wallet", load("addresses")["wallets"], ids=lambda case: case["text"])
def test_the_address_of_a_vector_is_the_same_everywhere(wallet: dict[str, str]) -> None:
    address = address_of(bytes.fromhex(wallet["public_key"]))

    assert address.hex() == wallet["address"]
    assert encode_address(address) == wallet["text"]


def test_a_checksum_of_five_characters_is_too_short_even_where_it_would_match() -> None:
    found = 0
    for prefix in map(chr, range(ord("a"), ord("z") + 1)):
        wanted = _polymod([*_expanded(prefix), *bytes(5)]) ^ 0x2BC830A3
        if wanted >> 25:
            continue  # no five characters match under this prefix
        found += 1
        last = "".join(_ALPHABET[wanted >> 5 * at & 31] for at in reversed(range(5)))
        with pytest.raises(InvalidAddressError, match="at least 6 characters"):
            decode_bech32m(f"{prefix}1{last}")
    assert found


@given(st.binary(min_size=32, max_size=32))
def test_an_address_is_read_back_from_its_text(data: bytes) -> None:
    text = encode_address(Address(data))

    assert len(text) == 61
    assert decode_address(text) == data
    assert decode_address(text.upper()) == data


@given(st.binary(max_size=50))
def test_symbols_spell_the_bytes_they_were_made_of(data: bytes) -> None:
    assert symbols_to_bytes(bytes_to_symbols(data)) == data


@given(st.data())
def test_a_changed_character_is_always_noticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    other = data.draw(st.characters(exclude_characters=TEXT[at]))

    with pytest.raises(InvalidAddressError):
        decode_address(TEXT[:at] + other + TEXT[at + 1 :])


WITH_PADDING = bytes_to_symbols(ADDRESS)
WITH_PADDING[-1] |= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no prefix", id="nothing"),
        pytest.param(TEXT[:-1] + TEXT[-1].upper(), "case are mixed", id="mixed case"),
        pytest.param(TEXT[:-1] + "q", "checksum does not match", id="wrong checksum"),
        pytest.param(TEXT[:-1] + "b", "after the last '1'", id="character outside the alphabet"),
        pytest.param(TEXT + "é", "printable ASCII", id="not ASCII"),
        pytest.param("\u212a" + TEXT, "printable ASCII", id="folds to ASCII"),
        pytest.param(f" {TEXT}", "printable ASCII", id="leading space"),
        pytest.param(TEXT * 2, "122 characters, at most 90", id="too long"),
        pytest.param(
            encode_bech32m("bc", bytes_to_symbols(ADDRESS)), "the prefix is 'bc'", id="prefix"
        ),
        pytest.param(
            encode_bech32m("tw", bytes_to_symbols(ADDRESS[:31])), "31 bytes, not 32", id="31 bytes"
        ),
        pytest.param(
            encode_bech32m("tw", bytes_to_symbols(ADDRESS + b"\0")), "33 bytes", id="33 bytes"
        ),
        pytest.param(
            encode_bech32m("tw", [*bytes_to_symbols(ADDRESS[:31]), 0]),
            "padding of 7",
            id="long padding",
        ),
        pytest.param(encode_bech32m("tw", WITH_PADDING), "padding of 4", id="padding not zero"),
        pytest.param(encode_bech32m("tw", []), "0 bytes", id="no data"),
    ],
)
def test_what_is_no_address_is_refused_with_the_rule_it_breaks(text: str, message: str) -> None:
    with pytest.raises(InvalidAddressError, match=message) as refused:
        decode_address(text)

    assert repr(text)[1:40] in str(refused.value)
    assert len(str(refused.value)) < 250
