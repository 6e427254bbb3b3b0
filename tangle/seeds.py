"""Wallet seeds: 24 words to write down (BIP-39), and the keys they lead to (SLIP-0010).

Every function of entropy or words alone: chance is the caller's. Messages name positions and
counts, never a word, since an error may end in a log and a word is a part of the secret.
"""

import hmac
from typing import Final

from mnemonic import Mnemonic

from tangle.errors import InvalidSeedError
from tangle.keys import SEED_SIZE, SigningKey

WORDS: Final = 24
ENTROPY_SIZE: Final = 32
PURPOSE: Final = 44
COIN_TYPE: Final = 0x7477
"""`tw` in ASCII, 29815. Not registered in SLIP-0044: it keeps the keys of one seed phrase apart
from those that other networks' wallets derive from it, and means nothing more."""

_MASTER_KEY: Final = b"ed25519 seed"
_HARDENED: Final = 2**31
_MIN_MASTER_SEED: Final = 16
_MAX_MASTER_SEED: Final = 64


def words_of(entropy: bytes) -> str:
    """Return the 24 English words for 32 bytes of entropy, separated by single spaces.

    Raises:
        InvalidSeedError: Another number of bytes.
    """
    if len(entropy) != ENTROPY_SIZE:
        raise InvalidSeedError(f"{len(entropy)} bytes of entropy: {ENTROPY_SIZE} are required")
    return Mnemonic("english").to_mnemonic(entropy)


def seed_of(words: str, passphrase: str = "") -> bytes:
    """Return the 64-byte seed of a phrase, whatever its case and spacing.

    Args:
        words: 24 English words.
        passphrase: Any text; another one is another, equally valid wallet.

    Raises:
        InvalidSeedError: Not 24 words, a word that is not in the list, or a wrong checksum.

    Source:
        BIP-39: PBKDF2-HMAC-SHA-512 with 2,048 rounds.
    """
    library = Mnemonic("english")
    phrase = words.lower().split()
    if len(phrase) != WORDS:
        raise InvalidSeedError(f"a seed phrase of {len(phrase)} words: {WORDS} are required")
    known = frozenset(library.wordlist)
    unknown = [str(at) for at, word in enumerate(phrase, start=1) if word not in known]
    if unknown:
        raise InvalidSeedError(
            f"seed phrase: word {', '.join(unknown)} of {WORDS} is not in the English BIP-39 list"
        )
    if not library.check(" ".join(phrase)):
        raise InvalidSeedError(
            "seed phrase: the checksum does not match, so a word is wrong or out of place"
        )
    return library.to_seed(" ".join(phrase), passphrase)


def derive(seed: bytes, path: tuple[int, ...]) -> bytes:
    """Return the 32-byte key seed at `path` below the master key of `seed`.

    Args:
        seed: 16 to 64 bytes.
        path: Steps without the 2^31 that marks them as hardened: Ed25519 has no others.

    Raises:
        InvalidSeedError: A seed of another length, or a step outside 0 to 2^31 − 1.

    Source:
        SLIP-0010, curve `ed25519 seed`.
    """
    if not _MIN_MASTER_SEED <= len(seed) <= _MAX_MASTER_SEED:
        raise InvalidSeedError(
            f"a seed of {len(seed)} bytes: {_MIN_MASTER_SEED} to {_MAX_MASTER_SEED} are allowed"
        )
    node = hmac.digest(_MASTER_KEY, seed, "sha512")
    for step in path:
        if not 0 <= step < _HARDENED:
            raise InvalidSeedError(f"derivation step {step}: from 0 to {_HARDENED - 1} are allowed")
        key_seed, chain_code = node[:SEED_SIZE], node[SEED_SIZE:]
        data = b"\0" + key_seed + (step + _HARDENED).to_bytes(4, "big")
        node = hmac.digest(chain_code, data, "sha512")
    return node[:SEED_SIZE]


def wallet_key(words: str, account: int = 0, passphrase: str = "") -> SigningKey:
    """Return the key of one account of a wallet: m/44'/29815'/account'.

    Raises:
        InvalidSeedError: As for `seed_of`; or an account outside 0 to 2^31 − 1.
    """
    return SigningKey(derive(seed_of(words, passphrase), (PURPOSE, COIN_TYPE, account)))
