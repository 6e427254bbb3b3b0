"""Ed25519 keys and what they sign.

libsodium (through PyNaCl) verifies on every node: libraries differ on crafted keys and
signatures, so which one verifies is a rule of consensus, not a choice of each node.
"""

from typing import Annotated, Final, NewType

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError
from typing_extensions import override

from tangle.errors import BadSignatureError

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
SEED_SIZE: Final = 32

PublicKey = NewType("PublicKey", bytes)
"""Ed25519 public key, 32 bytes."""

KeyField = Annotated[PublicKey, msgspec.Meta(min_length=KEY_SIZE, max_length=KEY_SIZE)]
"""A public key as a field of a canonical struct."""

SignatureField = Annotated[
    bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)
]
"""A signature as a field of a canonical struct."""


SignedMessage = tuple[bytes, bytes]
"""A public key of 32 bytes, and a signature with its message behind it."""


class SigningKey:
    """A secret Ed25519 key. Never encoded, never printed; `repr` shows the public half only."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        """Take the key of a 32-byte seed (RFC 8032); raises `ValueError` for another length."""
        if len(seed) != SEED_SIZE:
            raise ValueError(f"a key seed has {SEED_SIZE} bytes, not {len(seed)}")
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.public = PublicKey(public)

    @override
    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for a key file."""
        return bindings.crypto_sign_ed25519_sk_to_seed(self._secret)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`, which starts with its domain prefix."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_SIZE]


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` over `message` is by `public_key`, as libsodium judges."""
    if len(signature) != SIGNATURE_SIZE:
        return False
    return is_opened(public_key, signature + message)


def is_opened(public_key: bytes, signed: bytes) -> bool:
    """Return whether `signed`, a signature with its message behind it, is by `public_key`."""
    if len(public_key) != KEY_SIZE:
        return False
    try:
        bindings.crypto_sign_open(signed, public_key)
    except CryptoError:  # the only answer libsodium gives to a forgery
        return False
    return True


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check one signature. Raises `BadSignatureError`."""
    if not is_signed(public_key, message, signature):
        raise BadSignatureError(
            f"signature {signature[:8].hex()}… is not by key {public_key[:8].hex()}…"
        )
