from typing import Any

import pytest

from tangle.errors import InvalidSeedError
from tangle.keys import SigningKey
from tangle.seeds import derive, seed_of, wallet_key, words_of
from tests.vectors import load

BIP_39 = load("bip39")
WORDS = BIP_39["vectors"][4]["words"]


@pytest.mark.parametrize("case", BIP_39["vectors"], ids=lambda case: case["entropy"][:8])
def test_a_phrase_of_bip_39_is_made_and_leads_to_its_seed(case: dict[str, str]) -> None:
    words = words_of(bytes.fromhex(case["entropy"]))

    assert words == case["words"]
    assert seed_of(words, BIP_39["passphrase"]).hex() == case["seed"]


@pytest.mark.parametrize(
    ("seed", "chain"),
    [
        pytest.param(case["seed"], chain, id=f"{case['seed'][:4]} {chain['path']}")
        for case in load("slip10")["vectors"]
        for chain in case["chains"]
    ],
)
def test_a_chain_of_slip_10_is_derived(seed: str, chain: dict[str, Any]) -> None:
    key_seed = derive(bytes.fromhex(seed), tuple(chain["path"]))

    assert key_seed.hex() == chain["key_seed"]
    assert SigningKey(key_seed).public.hex() == chain["public_key"]


@pytest.mark.parametrize("wallet", load("addresses")["wallets"], ids=lambda case: case["text"])
def test_the_wallet_of_a_vector_has_the_same_keys_everywhere(wallet: dict[str, Any]) -> None:
    key = wallet_key(wallet["words"], wallet["account"])

    assert seed_of(wallet["words"]).hex() == wallet["seed"]
    assert (key.seed.hex(), key.public.hex()) == (wallet["key_seed"], wallet["public_key"])


def test_case_and_spacing_of_a_phrase_do_not_matter() -> None:
    typed = "  " + WORDS.upper().replace(" ", "\n ")

    assert seed_of(typed) == seed_of(WORDS)


def test_another_account_or_passphrase_is_another_wallet() -> None:
    keys = [
        wallet_key(WORDS),
        wallet_key(WORDS, account=1),
        wallet_key(WORDS, passphrase="x"),
        wallet_key(WORDS, account=1, passphrase="x"),
    ]

    assert len({key.public for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("", "0 words: 24", id="nothing"),
        pytest.param(" ".join(WORDS.split()[:23]), "23 words: 24", id="a word missing"),
        pytest.param("zoo " * 11 + "wrong", "12 words: 24", id="a valid phrase of 12 words"),
        pytest.param(WORDS.replace("dutch", "ditch"), "word 4 of 24", id="unknown word"),
        pytest.param(WORDS.replace("dutch", "zoo"), "checksum", id="wrong word"),
        pytest.param(
            WORDS.replace("hamster diagram", "diagram hamster"), "checksum", id="words swapped"
        ),
    ],
)
def test_a_wrong_phrase_is_refused_without_showing_a_word(words: str, message: str) -> None:
    with pytest.raises(InvalidSeedError, match=message) as refused:
        seed_of(words)

    shown = set(str(refused.value).replace(",", " ").split())
    assert not shown & (set(words.split()) - {"length", "word"})


def test_entropy_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidSeedError, match="16 bytes of entropy: 32"):
        words_of(bytes(16))


@pytest.mark.parametrize("step", [-1, 2**31])
def test_a_derivation_step_outside_its_range_is_refused(step: int) -> None:
    with pytest.raises(InvalidSeedError, match=f"step {step}"):
        derive(bytes(64), (44, step))


@pytest.mark.parametrize("size", [15, 65])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidSeedError, match=f"seed of {size} bytes"):
        derive(bytes(size), ())
