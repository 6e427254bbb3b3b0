"""Standing of peers: what they provably did lowers it, time restores it, a ban bounds the rest.

Pure: the wall clock is an argument. Only what a peer signed counts: the transactions of its frames
that are invalid for ever, which an honest node never passes on. A frame with a bad signature
proves nothing about the sender it names, and a frame heard twice nothing about who sent it again:
anyone with a link can repeat what another signed (ADR 0034).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tangle.effects import PeerId
from tangle.errors import (
    BadMilestoneError,
    BadPayloadError,
    InvalidError,
    InvalidSnapshotError,
    WrongNetworkError,
)

FULL_STANDING: Final = 100
"""Points of a peer that never misbehaved, or long ago."""

RECOVERY_MS: Final = 1_000
"""Wall time in which a peer wins back one point."""

USUAL_WEIGHT: Final = 20
"""Points for what only a faulty or hostile node sends: five in a row are a ban."""

WEIGHTS: Final[Mapping[type[InvalidError], int]] = {
    InvalidSnapshotError: 50,  # one chunk may cost a whole file; honest nodes check what they offer
    BadMilestoneError: 50,  # nobody comes by a forged milestone by accident, and it costs most
    BadPayloadError: 4,  # a node of another version may know contracts that this one does not
    WrongNetworkError: 4,  # the same
}
"""Points for each kind of misbehaviour that differs from the usual."""

FIRST_BAN_MS: Final = 60_000
LONGEST_BAN_MS: Final = 3_600_000
"""Each ban is twice as long as the one before, up to this."""

FORGIVEN_AFTER_MS: Final = 24 * 3_600_000
"""Time without a ban after which the next one is a first one again."""


@dataclass(slots=True)
class _Record:
    points: int = FULL_STANDING
    since_ms: int = 0  # when `points` was exact
    banned_until_ms: int = 0
    ban_ms: int = 0  # length of the last ban


class Standings:
    """The standing of every peer; bounded, since only configured peers are ever heard."""

    def __init__(self) -> None:
        self._records: dict[PeerId, _Record] = {}

    def points(self, peer: PeerId, now_ms: int) -> int:
        """Return the standing of `peer`, 0 to `FULL_STANDING`."""
        record = self._records.get(peer)
        if record is None:
            return FULL_STANDING
        if record.banned_until_ms > now_ms:
            return 0
        won_back = max(0, now_ms - record.since_ms) // RECOVERY_MS
        return min(FULL_STANDING, record.points + won_back)

    def banned_until_ms(self, peer: PeerId, now_ms: int) -> int | None:
        """Return when the ban of `peer` ends, wall time; `None` if it is not banned."""
        record = self._records.get(peer)
        if record is None or record.banned_until_ms <= now_ms:
            return None
        return record.banned_until_ms

    def lower(self, peer: PeerId, error: InvalidError, now_ms: int) -> int | None:
        """Take in that `peer` signed what is invalid.

        Returns:
            When the ban that this brings ends, wall time; `None` if it brings none.
        """
        if self.banned_until_ms(peer, now_ms) is not None:
            return None
        record = self._records.setdefault(peer, _Record(since_ms=now_ms))
        points = self.points(peer, now_ms)
        if points == FULL_STANDING:
            record.since_ms = now_ms
        else:  # what is left of the running interval still counts towards the next point
            record.since_ms = now_ms - (now_ms - record.since_ms) % RECOVERY_MS
        record.points = max(0, points - WEIGHTS.get(type(error), USUAL_WEIGHT))
        return self._ban(record, now_ms) if record.points == 0 else None

    def _ban(self, record: _Record, now_ms: int) -> int:
        is_repeated = now_ms < record.banned_until_ms + FORGIVEN_AFTER_MS and record.ban_ms > 0
        record.ban_ms = min(2 * record.ban_ms, LONGEST_BAN_MS) if is_repeated else FIRST_BAN_MS
        record.banned_until_ms = now_ms + record.ban_ms
        # It comes back with half a standing: the next ban needs less, a longer time heals more.
        record.points, record.since_ms = FULL_STANDING // 2, record.banned_until_ms
        return record.banned_until_ms
