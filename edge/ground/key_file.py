"""Secret keys at rest: one small file each, shut with a passphrase.

Argon2id makes guessing a passphrase dear; XChaCha20-Poly1305 over the header and the seed makes
any change of the file show. Nobody but the owner may even read it. No message holds a secret.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Final, Literal

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from edge.ground.faults import pass_point
from tangle.codec import Decoder, encode
from tangle.errors import InvalidKeyFileError, MalformedBytesError, StorageError, UnavailableError
from tangle.keys import KEY_SIZE, SEED_SIZE, KeyField, PublicKey, SigningKey

PASSPHRASE_VARIABLE: Final = "TANGLEWATT_KEY_PASSPHRASE_FILE"
"""Names a file that holds the passphrase; the passphrase itself is never in the environment."""

SALT_SIZE: Final = bindings.crypto_pwhash_SALTBYTES
NONCE_SIZE: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
MAX_KEY_FILE_SIZE: Final = 1_024
MAX_PASSPHRASE_SIZE: Final = 1_024
OPEN_TO_OTHERS: Final = 0o077
_OWN_MODE: Final = 0o600
_MAGIC: Final = "tanglewatt-key"

Argon2Passes = Annotated[int, msgspec.Meta(ge=1, le=16)]
"""The bounds keep a forged file from holding a node up for hours."""

Argon2Memory = Annotated[int, msgspec.Meta(ge=8, le=2**20)]
"""KiB."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs: Argon2id passes over so much memory."""

    passes: int = 3
    memory_kib: int = 64 * 2**10
    """RFC 9106's second recommendation: 0.1 s on a PC core, and it fits a small device."""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What must be known before the file opens. Bound to the seal."""

    magic: Literal["tanglewatt-key"]
    version: Literal[1]
    passes: Argon2Passes
    memory_kib: Argon2Memory
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]
    public_key: KeyField
    """Readable without the passphrase, so that one can tell whose file it is."""


class KeyFile(msgspec.Struct, frozen=True, array_like=True):
    """The whole file."""

    header: Header
    sealed: Annotated[bytes, msgspec.Meta(max_length=MAX_KEY_FILE_SIZE)]
    """The key's seed, encrypted, and the seal over it and the header."""


_decoder: Final = Decoder(KeyFile, "key file", MAX_KEY_FILE_SIZE)


def shut_key(key: SigningKey, passphrase: bytes, salt: bytes, nonce: bytes, cost: Cost) -> bytes:
    """Return the bytes of a key file.

    Args:
        key: What to keep.
        passphrase: Not empty.
        salt: 16 random bytes, never used before.
        nonce: 24 random bytes, never used before.
        cost: Of one guess.
    """
    header = Header(_MAGIC, 1, cost.passes, cost.memory_kib, salt, nonce, key.public)
    sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        key.seed, encode(header), nonce, _stretched(passphrase, header)
    )
    return encode(KeyFile(header, sealed))


def open_key(data: bytes, passphrase: bytes, name: str) -> SigningKey:
    """Return the key that `data` holds.

    Args:
        data: Bytes of a key file.
        passphrase: What it was shut with.
        name: Path of the file, for messages.

    Raises:
        InvalidKeyFileError: No key file of this version, altered, or another passphrase.
        UnavailableError: There is too little memory to stretch the passphrase.
    """
    file = _parsed(data, name)
    stretched = _stretched(passphrase, file.header)
    try:
        seed = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            file.sealed, encode(file.header), file.header.nonce, stretched
        )
    except (CryptoError, ValueError) as error:  # ValueError: shorter than its seal
        raise InvalidKeyFileError(
            f"key file {name}: the passphrase does not open it, or it was altered"
        ) from error
    key = SigningKey(seed) if len(seed) == SEED_SIZE else None
    if key is None or key.public != file.header.public_key:
        raise InvalidKeyFileError(f"key file {name}: the seed within is not that of its header")
    return key


def write_key_file(path: Path, key: SigningKey, passphrase: bytes, cost: Cost = Cost()) -> None:
    """Create a key file, durably and as a whole; an existing file is never replaced.

    Raises:
        InvalidKeyFileError: The passphrase is empty or longer than 1,024 bytes, or the file
            exists.
        StorageError: The disk is full, read-only or failing.
    """
    _require_passphrase(passphrase, f"key file {path}")
    data = shut_key(key, passphrase, token_bytes(SALT_SIZE), token_bytes(NONCE_SIZE), cost)
    try:
        _create(path, data)
    except FileExistsError as error:
        raise InvalidKeyFileError(
            f"key file {path}: exists already; a key is never written over"
        ) from error
    except OSError as error:
        raise StorageError(f"key file {path}: cannot be written: {error.strerror}") from error


def read_key_file(path: Path, passphrase: bytes) -> SigningKey:
    """Return the key in a file.

    Raises:
        InvalidKeyFileError: Missing, not a file, readable by others, altered, or shut with
            another passphrase.
        StorageError: The disk fails.
    """
    return open_key(_read_private(path, MAX_KEY_FILE_SIZE, "key file"), passphrase, str(path))


def read_public_key(path: Path) -> PublicKey:
    """Return whose key a file holds, without the passphrase. Raises as `read_key_file`."""
    data = _read_private(path, MAX_KEY_FILE_SIZE, "key file")
    return PublicKey(_parsed(data, str(path)).header.public_key)


def read_passphrase(path: Path) -> bytes:
    """Return the passphrase in a file, without the line's end.

    Raises:
        InvalidKeyFileError: Missing, not a file, readable by others, empty or too long.
        StorageError: The disk fails.
    """
    data = _read_private(path, MAX_PASSPHRASE_SIZE + 2, "passphrase file")
    passphrase = data.removesuffix(b"\n").removesuffix(b"\r")
    _require_passphrase(passphrase, f"passphrase file {path}")
    return passphrase


def passphrase_from(environment: Mapping[str, str]) -> bytes | None:
    """Return the passphrase in the file that the environment names, `None` if it names none.

    Raises as `read_passphrase` does.
    """
    named = environment.get(PASSPHRASE_VARIABLE)
    return read_passphrase(Path(named)) if named else None


def _parsed(data: bytes, name: str) -> KeyFile:
    try:
        return _decoder.decode(data)
    except MalformedBytesError as error:
        raise InvalidKeyFileError(f"key file {name}: not a key file of version 1") from error


def _stretched(passphrase: bytes, header: Header) -> bytes:
    try:
        return bindings.crypto_pwhash_alg(
            KEY_SIZE,
            passphrase,
            header.salt,
            header.passes,
            header.memory_kib * 2**10,
            bindings.crypto_pwhash_ALG_ARGON2ID13,
        )
    except CryptoError as error:  # all it can lack
        raise UnavailableError(
            f"a passphrase needs {header.memory_kib} KiB of memory to be tried"
        ) from error


def _require_passphrase(passphrase: bytes, name: str) -> None:
    if not 1 <= len(passphrase) <= MAX_PASSPHRASE_SIZE:
        raise InvalidKeyFileError(
            f"{name}: a passphrase of {len(passphrase)} bytes:"
            f" from 1 to {MAX_PASSPHRASE_SIZE} are allowed"
        )


def _create(path: Path, data: bytes) -> None:
    pass_point("key.before")
    # mkstemp opens with O_EXCL and mode 0600; a link, unlike a rename, never replaces a file.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        pass_point("key.written")
        os.link(temporary, path)
        pass_point("key.named")
    finally:
        Path(temporary).unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_private(path: Path, max_size: int, kind: str) -> bytes:
    """Return the bytes of a file that only its owner can read."""
    try:
        # Without O_NONBLOCK a named pipe in its place would hold the node up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _require_private(os.fstat(descriptor).st_mode, f"{kind} {path}")
            data = os.read(descriptor, max_size + 1)  # whole: a regular file of a few hundred bytes
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise InvalidKeyFileError(f"{kind} {path}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"{kind} {path}: cannot be read: {error.strerror}") from error
    if len(data) > max_size:
        raise InvalidKeyFileError(f"{kind} {path}: more than {max_size} bytes")
    return data


def _require_private(mode: int, name: str) -> None:
    if not stat.S_ISREG(mode):
        raise InvalidKeyFileError(f"{name}: not a regular file")
    if mode & OPEN_TO_OTHERS:
        raise InvalidKeyFileError(
            f"{name}: mode {stat.S_IMODE(mode):04o} lets others in; it must be {_OWN_MODE:04o}"
        )
