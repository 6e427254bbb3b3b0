"""A wallet at rest: its 24 words, encrypted as a key file is, and the public key they lead to."""

import os
import stat
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Final, Literal

import msgspec

from api.settings.private_files import PRIVATE, create_file
from edge.ground.key_file import (
    MAX_KEY_FILE_SIZE,
    NONCE_SIZE,
    OPEN_TO_OTHERS,
    SALT_SIZE,
    Cost,
    open_key,
    shut_key,
)
from tangle.codec import Decoder, encode
from tangle.errors import InvalidKeyFileError, MalformedBytesError
from tangle.keys import KeyField, PublicKey, SigningKey
from tangle.seeds import wallet_key, words_of

MAX_WALLET_FILE_SIZE: Final = MAX_KEY_FILE_SIZE + 128
_MAGIC: Final = "tanglewatt-wallet"


class WalletFile(msgspec.Struct, frozen=True, array_like=True):
    """The whole file."""

    magic: Literal["tanglewatt-wallet"]
    version: Literal[1]
    public_key: KeyField
    """Of account 0: readable without the passphrase, so that one can tell whose it is."""

    entropy: Annotated[bytes, msgspec.Meta(max_length=MAX_KEY_FILE_SIZE)]
    """What the words spell, shut as `edge.ground.key_file` shuts the seed of a key."""


_decoder: Final = Decoder(WalletFile, "wallet file", MAX_WALLET_FILE_SIZE)


def create_wallet(file: Path, entropy: bytes, passphrase: bytes, cost: Cost) -> PublicKey:
    """Create the file of a new wallet; return the public key of its first account.

    Args:
        file: Must not exist.
        entropy: 32 random bytes, never used before: what the 24 words spell.
        passphrase: Not empty.
        cost: Of one guess at it.

    Raises:
        CommandError: The file exists or cannot be written.
    """
    public = wallet_key(words_of(entropy)).public
    # a key's seed and a wallet's entropy are both 32 secret bytes: one way to shut them
    shut = shut_key(
        SigningKey(entropy), passphrase, token_bytes(SALT_SIZE), token_bytes(NONCE_SIZE), cost
    )
    create_file(file, encode(WalletFile(_MAGIC, 1, public, shut)), PRIVATE)
    return public


def read_wallet_words(file: Path, passphrase: bytes) -> str:
    """Return the 24 words of a wallet.

    Raises:
        InvalidKeyFileError: Missing, readable by others, altered, or another passphrase.
    """
    parsed = _read(file)
    words = words_of(open_key(parsed.entropy, passphrase, str(file)).seed)
    if wallet_key(words).public != parsed.public_key:
        raise InvalidKeyFileError(f"wallet file {file}: its words lead to another key")
    return words


def read_wallet_public_key(file: Path) -> PublicKey:
    """Return whose wallet it is, without the passphrase. Raises `InvalidKeyFileError`."""
    return PublicKey(_read(file).public_key)


def _read(file: Path) -> WalletFile:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            data = stream.read(MAX_WALLET_FILE_SIZE + 1)
    except OSError as error:
        raise InvalidKeyFileError(f"wallet file {file}: {error.strerror}") from error
    if mode & OPEN_TO_OTHERS:
        raise InvalidKeyFileError(
            f"wallet file {file}: mode {mode:04o} lets others in; it must be {PRIVATE:04o}"
        )
    try:
        return _decoder.decode(data)
    except MalformedBytesError as error:
        raise InvalidKeyFileError(f"wallet file {file}: not a wallet of version 1") from error
