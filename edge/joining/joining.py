"""Decides whether a node starts from a peer's snapshot, from which, and which chunk to ask of whom.

No input or output. Nothing a peer says is believed for longer than it takes to find out: an offer
stands under a signed milestone, a chunk has its hash in the manifest, and the file is checked
against the roots. Whoever gave what differs is asked no more.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from edge.mesh.offers import CHUNK_SIZE, SnapshotManifest, chunk_size
from edge.node.catch_up import FAR_BEHIND
from tangle.anchors import ProvenMilestone
from tangle.codec import encode
from tangle.effects import PeerId
from tangle.hashing import digest

MAX_UNDER_WAY: Final = 8
"""Chunks asked of one peer and not here yet: 2 MiB."""

SILENCE_MS: Final = 5_000
"""Wall time without any of the chunks a peer was asked for: others are asked for them."""

MAX_STRIKES: Final = 3
"""Silences in a row after which a peer is asked for no more of this file."""

SLOW_MS: Final = 2_000
"""A chunk asked for so long ago is asked of an idle peer as well, when nothing else is left."""

GROWTH: Final = 16
"""Times a snapshot file: what its rows may take in the journal and in the journal's log."""

STUCK_MS: Final = 120_000
"""Wall time without an applied milestone after which a node that is behind asks for a snapshot,
whatever peers say they keep: one that lies would else keep it out for ever."""

MAX_REFUSED: Final = 64
"""Files remembered as of no use: more than there are peers in any network of ours."""


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """What the operator wants."""

    is_on: bool
    ahead: int
    """Milestones that a snapshot must spare a node without any."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a peer says it stands."""

    confirmed_index: int
    oldest_cone: int
    """Smallest milestone index whose cone it can give."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where this node and the peers that it can ask stand."""

    confirmed_index: int
    peers: Mapping[PeerId, Stand]
    quiet_ms: int = 0
    """Wall time for which it has been far behind and applied nothing; see `Patience`."""

    is_halted: bool = False

    @property
    def kept_from(self) -> int | None:
        """Smallest milestone index whose cone some peer can give; `None` without peers."""
        return min((one.oldest_cone for one in self.peers.values()), default=None)


class Patience:
    """Counts for how long a node has been far behind and applied nothing. Mutable."""

    def __init__(self) -> None:
        self._index = -1
        self._since_ms = 0

    def quiet_ms(self, confirmed_index: int, furthest: int, now_ms: int) -> int:
        """Return for how long, which is nothing at first: a gap may be a partition's that healed.

        Args:
            confirmed_index: Last applied milestone.
            furthest: The last that any peer says it has applied.
            now_ms: This moment, wall time.
        """
        if furthest <= confirmed_index + FAR_BEHIND:
            self._index = -1
            return 0
        if confirmed_index != self._index:
            self._index, self._since_ms = confirmed_index, now_ms
        return now_ms - self._since_ms


class Occasion(Enum):
    """Why a node would start from a snapshot."""

    NEW = "it has applied nothing yet, and its peers are far ahead"
    STRANDED = "no peer keeps the next cone any more"
    STUCK = "it is behind, and peers who say that they keep the next cone do not give it"


def occasion_of(situation: Situation, settings: JoinSettings) -> Occasion | None:
    """Return why a node should start from a snapshot now, `None` if it should not.

    A node that halted never does: its operator decides.
    """
    kept_from = situation.kept_from
    if not settings.is_on or situation.is_halted or kept_from is None:
        return None
    ahead = max(one.confirmed_index for one in situation.peers.values()) - situation.confirmed_index
    if ahead > FAR_BEHIND and kept_from > situation.confirmed_index + 1:
        return Occasion.STRANDED
    if ahead > FAR_BEHIND and situation.quiet_ms >= STUCK_MS:
        return Occasion.STUCK
    if situation.confirmed_index == 0 and ahead > settings.ahead:
        return Occasion.NEW
    return None


def why_useless(
    index: int, situation: Situation, occasion: Occasion, settings: JoinSettings
) -> str | None:
    """Return why the snapshot of milestone `index` does not help, `None` if it does."""
    own, kept_from = situation.confirmed_index, situation.kept_from
    if index <= own:
        return f"stale: it is of milestone {index}, this node has applied {own}"
    if occasion is Occasion.NEW and index - own <= settings.ahead:
        return f"of milestone {index}: up to {own + settings.ahead} cones are asked for"
    if kept_from is not None and kept_from > index + 1:
        return f"stale: it is of milestone {index}, peers keep cones from {kept_from} on"
    return None


@dataclass(frozen=True, slots=True)
class Offered:
    """A snapshot on offer, the milestone it must be of, and who holds the very same file."""

    manifest: SnapshotManifest
    milestone: ProvenMilestone
    sources: tuple[PeerId, ...]


class Offers:
    """What peers offered. Mutable; bounded by the number of configured peers."""

    def __init__(self) -> None:
        self._asked: set[PeerId] = set()
        self._answered: dict[PeerId, tuple[SnapshotManifest, ProvenMilestone] | None] = {}
        self._distrusted: set[PeerId] = set()
        self._refused: dict[bytes, str] = {}  # by `manifest_key`, the latest last
        self._set_aside: dict[bytes, str] = {}

    def begin(self) -> None:
        """Forget the offers, and not what was found out about files and peers."""
        self._asked.clear()
        self._answered.clear()
        self._set_aside.clear()

    def to_ask(self, peers: Iterable[PeerId]) -> list[PeerId]:
        """Return which of `peers` were not asked yet; they count as asked from now on."""
        fresh = [one for one in peers if one not in self._asked | self._distrusted]
        self._asked.update(fresh)
        return fresh

    def is_awaited(self, peer: PeerId) -> bool:
        """Return whether a peer was asked and has not answered."""
        return peer in self._asked and peer not in self._answered | dict.fromkeys(self._distrusted)

    def are_complete(self, connected: Collection[PeerId]) -> bool:
        """Return whether everyone who was asked, and is still there, has answered."""
        return not any(self.is_awaited(one) for one in connected)

    def none(self, peer: PeerId) -> None:
        """Note that a peer holds no snapshot."""
        self._answered[peer] = None

    def heard(self, peer: PeerId, manifest: SnapshotManifest, milestone: ProvenMilestone) -> None:
        """Note a peer's offer, whose milestone is proven; it may have what others did not give."""
        self._answered[peer] = (manifest, milestone)
        self._set_aside.pop(manifest_key(manifest), None)

    def sources(self, manifest: SnapshotManifest) -> tuple[PeerId, ...]:
        """Return who offers the very same file, ascending."""
        key = manifest_key(manifest)
        return tuple(
            peer
            for peer, answer in sorted(self._answered.items())
            if answer is not None and manifest_key(answer[0]) == key
        )

    def distrust(self, peer: PeerId) -> None:
        """Ask and believe a peer no more: it gave what differs from what it said."""
        self._distrusted.add(peer)
        self._answered.pop(peer, None)

    def refuse(self, manifest: SnapshotManifest, why: str) -> None:
        """Choose a file no more, whoever offers it: it is not what it should be."""
        key = manifest_key(manifest)
        self._refused.pop(key, None)
        self._refused[key] = why
        if len(self._refused) > MAX_REFUSED:
            del self._refused[next(iter(self._refused))]

    def set_aside(self, manifest: SnapshotManifest, why: str) -> None:
        """Choose a file no more until `begin`, or until one more peer offers it."""
        self._set_aside[manifest_key(manifest)] = why

    def best(
        self, situation: Situation, occasion: Occasion, settings: JoinSettings
    ) -> tuple[Offered | None, list[str]]:
        """Return the offer to take, if any is of use, and why others are not.

        First what most peers hold: that is quickest, and a lone liar comes last. Then the newest.
        """
        found: dict[bytes, Offered] = {}
        for peer in sorted(self._answered):
            answer = self._answered[peer]
            if answer is not None:
                manifest, milestone = answer
                key = manifest_key(manifest)
                known = found.get(key, Offered(manifest, milestone, ()))
                found[key] = Offered(manifest, milestone, (*known.sources, peer))
        useful: list[tuple[int, int, bytes]] = []
        useless = []
        for key, offered in found.items():
            index = offered.milestone.index
            known_why = self._refused.get(key) or self._set_aside.get(key)
            why = known_why or why_useless(index, situation, occasion, settings)
            if why is None:
                useful.append((-len(offered.sources), -index, key))
            else:
                useless.append(why)
        return (found[min(useful)[2]] if useful else None), useless


def manifest_key(manifest: SnapshotManifest) -> bytes:
    """Return what two offers of the same file have in common, chunk by chunk."""
    return digest(encode((manifest.file_hash, manifest.size_bytes, manifest.chunks)))


@dataclass(frozen=True, slots=True)
class Ask:
    """Chunks to ask one peer for."""

    peer: PeerId
    numbers: tuple[int, ...]


@dataclass(slots=True)
class _Source:
    """One peer that is being asked, and how it does."""

    active_ms: int
    """When it last gave a chunk, or was first asked."""

    strikes: int = 0
    asked: dict[int, int] = field(default_factory=dict)
    """Chunks under way, and since when."""


class Fetch:
    """Which chunks of one file are missing, and of whom they are asked. Mutable."""

    def __init__(self, manifest: SnapshotManifest, have: Collection[int], now_ms: int) -> None:
        """Begin, with the chunks `have` here already."""
        self.manifest = manifest
        self._missing = set(range(len(manifest.chunks))) - set(have)
        self._resumed = self._bytes_here()
        self._began_ms = now_ms
        self._sources: dict[PeerId, _Source] = {}
        self._dropped: set[PeerId] = set()

    @property
    def is_complete(self) -> bool:
        """Whether all chunks are here."""
        return not self._missing

    @property
    def source_count(self) -> int:
        """How many peers are being asked."""
        return len(self._sources)

    @property
    def fetched_bytes(self) -> int:
        """Of the file, how much is here."""
        return self._bytes_here()

    def estimate_ms(self, now_ms: int) -> int | None:
        """Return how long the rest takes at the rate so far; `None` while there is none."""
        fetched = self._bytes_here() - self._resumed
        if not fetched or now_ms <= self._began_ms:
            return None
        left = self.manifest.size_bytes - self._bytes_here()
        return left * (now_ms - self._began_ms) // fetched

    def plan(self, sources: Sequence[PeerId], now_ms: int) -> tuple[Ask, ...]:
        """Return what to ask for now.

        Args:
            sources: Peers that hold the file and can be asked.
            now_ms: This moment, wall time.
        """
        able = [one for one in sources if one not in self._dropped]
        for peer in self._sources.keys() - set(able):
            del self._sources[peer]
        for peer in able:
            self._judge(peer, self._sources.setdefault(peer, _Source(now_ms)), now_ms)
        asks = []
        for peer in sorted(self._sources, key=lambda one: self._sources[one].strikes):
            source = self._sources[peer]
            numbers = self._next_for(source, now_ms)
            if not numbers:
                continue
            if not source.asked:
                source.active_ms = now_ms  # nothing was under way: its time begins now
            source.asked.update(dict.fromkeys(numbers, now_ms))
            asks.append(Ask(peer, numbers))
        return tuple(asks)

    def is_awaited(self, peer: PeerId, number: int) -> bool:
        """Return whether a peer was asked for a chunk that is still missing."""
        source = self._sources.get(peer)
        return source is not None and number in source.asked and number in self._missing

    def took(self, peer: PeerId, number: int, now_ms: int) -> None:
        """Note that an awaited chunk came and is as announced."""
        source = self._sources[peer]
        source.active_ms, source.strikes = now_ms, 0
        self._missing.discard(number)
        for one in self._sources.values():
            one.asked.pop(number, None)

    def drop(self, peer: PeerId) -> None:
        """Ask a peer no more."""
        self._dropped.add(peer)
        self._sources.pop(peer, None)

    def _bytes_here(self) -> int:
        missing = sum(chunk_size(self.manifest, number) for number in self._missing)
        return self.manifest.size_bytes - missing

    def _judge(self, peer: PeerId, source: _Source, now_ms: int) -> None:
        if not source.asked or now_ms - source.active_ms < SILENCE_MS:
            return
        source.asked.clear()
        source.strikes += 1
        if source.strikes >= MAX_STRIKES:
            self.drop(peer)

    def _next_for(self, source: _Source, now_ms: int) -> tuple[int, ...]:
        room = MAX_UNDER_WAY - len(source.asked)
        under_way = {number for one in self._sources.values() for number in one.asked}
        free = sorted(self._missing - under_way)
        if not free and not source.asked:  # idle at the end: help those who are slow
            free = sorted(
                number
                for one in self._sources.values()
                for number, since_ms in one.asked.items()
                if now_ms - since_ms >= SLOW_MS
            )
        return tuple(free[:room])


def room_needed(manifest: SnapshotManifest) -> int:
    """Return the bytes of disk that fetching and loading a file may take: itself, and its rows."""
    return manifest.size_bytes * (1 + GROWTH) + CHUNK_SIZE
