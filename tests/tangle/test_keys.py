from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.errors import BadSignatureError
from tangle.hashing import HASH_SIZE, digest, domain
from tangle.keys import SigningKey, is_signed, verify
from tests.vectors import load

KEY = SigningKey(bytes(range(32)))
DISPUTED = load("signatures")

# RFC 8032, section 7.1: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_keys_sign_as_rfc_8032_says(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))

    assert key.public.hex() == public
    assert key.seed.hex() == seed
    assert key.sign(bytes.fromhex(message)).hex() == signature
    verify(key.public, bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize("case", DISPUTED["cases"], ids=lambda case: case["name"])
def test_signatures_that_libraries_disagree_on_are_judged_strictly(case: dict[str, Any]) -> None:
    public, signature = bytes.fromhex(case["public_key"]), bytes.fromhex(case["signature"])

    accepted = is_signed(public, bytes.fromhex(DISPUTED["message"]), signature)

    assert accepted == (case["name"] == "honest")
    assert accepted == case["valid"]


@given(st.binary(max_size=100), st.integers(0, 95), st.integers(1, 255))
def test_a_changed_byte_of_key_or_signature_is_refused(message: bytes, at: int, flip: int) -> None:
    both = bytearray(KEY.public + KEY.sign(message))
    both[at] ^= flip

    assert is_signed(KEY.public, message, KEY.sign(message))
    with pytest.raises(BadSignatureError):
        verify(bytes(both[:32]), message, bytes(both[32:]))


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_signature_is_over_one_message_only(message: bytes, other: bytes) -> None:
    assert is_signed(KEY.public, other, KEY.sign(message)) == (message == other)


@pytest.mark.parametrize(("key_size", "size"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_a_key_or_signature_of_another_size_is_refused(key_size: int, size: int) -> None:
    public, signature = (KEY.public * 2)[:key_size], (KEY.sign(b"m") * 2)[:size]

    assert not is_signed(public, b"m", signature)


def test_bytes_moved_between_signature_and_message_are_refused() -> None:
    # libsodium takes both in one string: where one ends must not be the forger's choice.
    honest = KEY.sign(b"xm")

    assert is_signed(KEY.public, b"xm", honest)
    assert not is_signed(KEY.public, b"m", honest + b"x")
    assert not is_signed(KEY.public, honest[-1:] + b"xm", honest[:-1])


def test_the_refusal_names_signature_and_key() -> None:
    signature = KEY.sign(b"m")

    with pytest.raises(BadSignatureError, match=signature[:8].hex()) as refused:
        verify(KEY.public, b"n", signature)

    assert KEY.public[:8].hex() in str(refused.value)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_size_makes_no_key(size: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, not {size}"):
        SigningKey(bytes(size))


def test_a_printed_key_shows_the_public_half_only() -> None:
    shown = f"{KEY!r} {KEY}"

    assert KEY.public.hex() in shown
    assert KEY.seed.hex() not in shown


def test_the_hash_is_blake2b_of_256_bits() -> None:
    # The hash of nothing, as hashlib-independent tools print it.
    nothing = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"

    assert digest(b"").hex() == nothing
    assert len(digest(b"x")) == HASH_SIZE


def test_no_domain_is_the_start_of_another() -> None:
    kinds = ["transaction", "transactions", "reading", "reading-leaf", "genesis"]
    domains = [domain(kind) for kind in kinds]

    assert domains[0] == b"tanglewatt/transaction/1\0"
    for first in domains:
        assert [one for one in domains if one.startswith(first)] == [first]
