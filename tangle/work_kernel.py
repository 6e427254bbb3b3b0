"""The search for a nonce as a compiled loop: many nonces side by side, without the lock.

Finds what `tangle.work.find_nonce` finds. Importing this loads NumPy and Numba.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tangle import work
from tangle.compiling import compiled
from tangle.hashing import HASH_SIZE
from tangle.transaction import NONCE_SIZE, TransactionId

LANES: Final = 32
"""Nonces hashed side by side."""

TRIALS_PER_CALL: Final = 2**16
"""So that a search can be broken off."""

MAX_BITS: Final = 63
"""Of the first word of the hash; nobody asks for more."""

_U: Final = np.uint64
_MESSAGE_SIZE: Final = HASH_SIZE + NONCE_SIZE
_NONCE_WORD: Final = HASH_SIZE // 8
_NONE: Final = -1

# RFC 7693, sections 2.6 and 2.7, and the parameter block of an unkeyed hash of 32 bytes.
_IV: Final = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
_PARAMETERS: Final = np.uint64(0x01010000 + HASH_SIZE)
_ROUNDS: Final = 12
_SIGMA: Final = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
_QUARTERS: Final = np.array(
    [
        [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
        [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
    ],
    np.int64,
)  # fmt: skip


def find_nonce(tx_id: TransactionId, bits: int, start: int = 0) -> bytes:
    """Return the first nonce from `start` on that carries `bits` zero bits."""
    if not 0 < bits <= MAX_BITS:
        return work.find_nonce(tx_id, bits, start)
    words = np.frombuffer(tx_id, "<u8").astype(np.uint64)
    limit = np.uint64(1 << (64 - bits))
    for first in range(start, start + work.MAX_TRIALS, TRIALS_PER_CALL):
        ahead = search(words, limit, np.uint64(first))
        if ahead != _NONE:
            return (first + ahead).to_bytes(NONCE_SIZE, "big")
    raise AssertionError(f"no nonce with {bits} zero bits in {work.MAX_TRIALS} trials")


@compiled
def search(words: NDArray[np.uint64], limit: np.uint64, start: np.uint64) -> int:
    """Return how far from `start` the first good nonce is, `_NONE` within `TRIALS_PER_CALL`."""
    state = np.empty((16, LANES), np.uint64)
    message = np.zeros((16, LANES), np.uint64)
    for word in range(_NONCE_WORD):
        message[word, :] = words[word]
    for begin in range(0, TRIALS_PER_CALL, LANES):
        for lane in range(LANES):
            message[_NONCE_WORD, lane] = _swapped(start + _U(begin + lane))
        _compress(state, message)
        for lane in range(LANES):
            first_word = _IV[0] ^ _PARAMETERS ^ state[0, lane] ^ state[8, lane]
            if _swapped(first_word) < limit:
                return begin + lane
    return _NONE


@compiled
def _compress(state: NDArray[np.uint64], message: NDArray[np.uint64]) -> None:
    """Run BLAKE2b's rounds over one last block in each lane."""
    for word in range(8):
        state[word, :] = _IV[word]
        state[word + 8, :] = _IV[word]
    for lane in range(LANES):
        state[0, lane] ^= _PARAMETERS
        state[12, lane] ^= _U(_MESSAGE_SIZE)
        state[14, lane] = ~state[14, lane]
    for number in range(_ROUNDS):
        order = _SIGMA[number % 10]
        for quarter in range(8):
            a, b, c, d = _QUARTERS[quarter]
            first, second = order[2 * quarter], order[2 * quarter + 1]
            for lane in range(LANES):
                in_a = state[a, lane] + state[b, lane] + message[first, lane]
                in_d = _turned(state[d, lane] ^ in_a, _U(32))
                in_c = state[c, lane] + in_d
                in_b = _turned(state[b, lane] ^ in_c, _U(24))
                in_a = in_a + in_b + message[second, lane]
                in_d = _turned(in_d ^ in_a, _U(16))
                in_c = in_c + in_d
                state[a, lane] = in_a
                state[b, lane] = _turned(in_b ^ in_c, _U(63))
                state[c, lane] = in_c
                state[d, lane] = in_d


@compiled
def _turned(word: np.uint64, places: np.uint64) -> np.uint64:
    """Rotate to the right."""
    return (word >> places) | (word << (_U(64) - places))


@compiled
def _swapped(word: np.uint64) -> np.uint64:
    """Reverse the bytes: nonce and limit are big-endian, the hash's words are not."""
    bytes_mask, pairs_mask = _U(0x00FF00FF00FF00FF), _U(0x0000FFFF0000FFFF)
    word = ((word & bytes_mask) << _U(8)) | ((word >> _U(8)) & bytes_mask)
    word = ((word & pairs_mask) << _U(16)) | ((word >> _U(16)) & pairs_mask)
    return (word << _U(32)) | (word >> _U(32))
