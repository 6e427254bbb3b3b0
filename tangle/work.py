"""Light proof of work: a price per byte, checked by one hash.

Source: TIP-12 (score per byte); the trials are BLAKE2b-256 of id and nonce.
"""

from hashlib import blake2b
from typing import Final

from tangle.errors import MissingWorkError
from tangle.hashing import HASH_SIZE
from tangle.transaction import NONCE_SIZE, TransactionId

MAX_TRIALS: Final = 2**40
"""Where `find_nonce` gives up: far beyond any work a valid network asks for."""


def required_bits(size_bytes: int, work_per_byte: int) -> int:
    """Return the least z with 2^z ≥ `work_per_byte` · `size_bytes` of signed fields."""
    return (max(1, work_per_byte * size_bytes) - 1).bit_length()


def leading_zero_bits(tx_id: TransactionId, nonce: bytes) -> int:
    """Return how many zero bits start BLAKE2b-256 of `tx_id` and `nonce`."""
    hashed = blake2b(tx_id + nonce, digest_size=HASH_SIZE).digest()
    return HASH_SIZE * 8 - int.from_bytes(hashed, "big").bit_length()


def verify_work(tx_id: TransactionId, nonce: bytes, bits: int) -> None:
    """Check the work of one transaction. Raises `MissingWorkError`."""
    found = leading_zero_bits(tx_id, nonce)
    if found < bits:
        raise MissingWorkError(f"{found} leading zero bits of work: {bits} are required")


def find_nonce(tx_id: TransactionId, bits: int, start: int = 0) -> bytes:
    """Return the first nonce from `start` on that carries `bits` zero bits.

    Takes 2^bits hashes on average, a few milliseconds at 14 bits.
    """
    prefix = blake2b(tx_id, digest_size=HASH_SIZE)
    limit = 1 << (HASH_SIZE * 8 - bits)
    for number in range(start, start + MAX_TRIALS):
        nonce = number.to_bytes(NONCE_SIZE, "big")
        trial = prefix.copy()
        trial.update(nonce)
        if int.from_bytes(trial.digest(), "big") < limit:
            return nonce
    raise AssertionError(f"no nonce with {bits} zero bits in {MAX_TRIALS} trials")
