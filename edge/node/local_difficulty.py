"""Local difficulty: what a door asks for beyond the network's work, by an issuer's own recent rate.

At the doors only. What comes by gossip is judged by the network's work alone: a rule that depends
on what one node saw would split the network. Pure: the wall clock is an argument.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from tangle.errors import MoreWorkNeededError
from tangle.keys import PublicKey
from tangle.transaction import TransactionId
from tangle.work import leading_zero_bits

FREE_BURST: Final = 128
"""Transactions of one issuer that a door takes at once for the network's work alone."""

DRAIN_PER_S: Final = 16
"""Transactions a second that are forgotten: who stays below is never asked for more."""

MAX_MORE_BITS: Final = 10
"""Beyond the network's: a thousandfold work, seconds on one core. More would ask for nothing."""

MAX_ISSUERS: Final = 10_000
"""Remembered at a time. Beyond them who was quiet longest is forgotten, and free again."""

_MILLI: Final = 1_000


@dataclass(slots=True)
class _Level:
    milli: int  # thousandths of a transaction, as of `at_ms`
    at_ms: int


def more_bits(level: int) -> int:
    """Return the bits asked for beyond the network's when `level` transactions are remembered.

    None below `FREE_BURST`; one from there on, and one more for every doubling: the work an issuer
    puts in grows with the square of its rate.
    """
    return min((level // FREE_BURST).bit_length(), MAX_MORE_BITS)


class LocalDifficulty:
    """The recent rate of each issuer at the doors of one node: a leaky bucket each."""

    def __init__(self) -> None:
        self._levels: OrderedDict[PublicKey, _Level] = OrderedDict()  # longest quiet first

    def more_bits(self, issuer: PublicKey, now_ms: int) -> int:
        """Return what `issuer` is asked for now beyond the network's work."""
        return more_bits(self._milli(issuer, now_ms) // _MILLI)

    def retry_ms(self, issuer: PublicKey, more: int, now_ms: int) -> int:
        """Return after which wall time `more` bits are enough, if nothing else comes; 0 for now."""
        enough = (FREE_BURST << more) * _MILLI - 1
        surplus = self._milli(issuer, now_ms) - enough
        return max(0, -(-surplus // DRAIN_PER_S))

    def verify(
        self, issuer: PublicKey, tx_id: TransactionId, nonce: bytes | None, base: int, now_ms: int
    ) -> None:
        """Check that a transaction carries what this door asks for now.

        Args:
            issuer: As the transaction names it.
            tx_id: Its id.
            nonce: Its work; `None` if the node is to do it, which is the network's and no more.
            base: Bits that the network asks for.
            now_ms: Wall clock.

        Raises:
            MoreWorkNeededError: It carries less; says how much, and when it would be enough.
        """
        asked = base + self.more_bits(issuer, now_ms)
        found = base if nonce is None else leading_zero_bits(tx_id, nonce)
        if base <= found < asked:  # less than the base is for the network's own rule to refuse
            retry_ms = self.retry_ms(issuer, found - base, now_ms)
            message = (
                f"{found} leading zero bits of work, {asked} are asked of an issuer that sent so "
                f"much lately: do more, or retry in {retry_ms} ms"
            )
            raise MoreWorkNeededError(message, found, asked, retry_ms)

    def taken(self, issuer: PublicKey, now_ms: int) -> None:
        """Count a transaction of `issuer` that a door took in."""
        milli = self._milli(issuer, now_ms)
        self._levels[issuer] = _Level(milli + _MILLI, now_ms)
        self._levels.move_to_end(issuer)
        if len(self._levels) > MAX_ISSUERS:
            self._levels.popitem(last=False)

    def _milli(self, issuer: PublicKey, now_ms: int) -> int:
        level = self._levels.get(issuer)
        if level is None:
            return 0
        return max(0, level.milli - DRAIN_PER_S * max(0, now_ms - level.at_ms))
