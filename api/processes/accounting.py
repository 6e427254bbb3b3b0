"""Whether every reading that the meters made is confirmed once, on every node. Pure.

Compared are what each meter kept on its own disk and what each node answers for itself; no
counter is shared between them, so none can be wrong for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Range = tuple[int, int]
"""Sequences from first to last, both inclusive."""

MAX_NAMED_GAPS: Final = 5
"""Gaps that one line of a report names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class MeterKept:
    """What one meter has on its disk."""

    name: str
    address: str
    produced: int
    """Readings it ever made: sequences 0 to produced − 1."""


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the home edge says of one meter."""

    count: int
    through: int
    """Highest contiguous sequence; -1 for none."""

    import_wh: int
    export_wh: int
    forgotten: int = 0
    """Journalled before those, and let go since."""


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """What one node says of one meter."""

    confirmed: int
    twice: int
    ranges: tuple[Range, ...]
    """Ascending, apart from each other."""

    journalled: Journalled | None
    """`None` on a node that is not the home edge."""

    audited: int | None = None
    """Readings whose commitment the home edge computed anew and found in an applied batch."""

    pruned: int = 0
    """Readings whose transactions left before the node started, so that it could not."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What one node says, at one moment."""

    name: str
    index: int
    state_root: str
    transactions: int
    milestones: int
    devices: Mapping[str, DeviceSeen]
    """By address."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The readings, counted from all sides."""

    sent: int
    journalled: int
    confirmed: Mapping[str, int]
    """By node."""

    lost: int
    """Made by a meter, but not journalled or not confirmed on every node."""

    twice: int
    """The most that any node has confirmed more than once."""

    missing: tuple[str, ...]
    """One line for each meter that a node, or its home edge, does not fully have."""

    @property
    def is_complete(self) -> bool:
        """Whether all that was sent is journalled and confirmed on every node, once."""
        counts = {self.journalled, *self.confirmed.values()}
        return counts <= {self.sent} and not (self.lost or self.twice or self.missing)


def tally(meters: Sequence[MeterKept], nodes: Sequence[NodeSeen]) -> Tally:
    """Return the readings counted from what `meters` kept and what `nodes` answer."""
    sent = sum(meter.produced for meter in meters)
    journalled = 0
    lost = 0
    missing: list[str] = []
    for meter in meters:
        own = _journalled(meter.address, nodes)
        journalled += own.count + own.forgotten if own is not None else 0
        common: Sequence[Range] = _whole(meter.produced)
        through = -1 if own is None else own.through
        if through < meter.produced - 1:
            common = _whole(min(meter.produced, through + 1))
            missing.append(f"{meter.name}: journalled through {through} of {meter.produced - 1}")
        for node in nodes:
            seen = node.devices.get(meter.address, _NOTHING)
            gaps = absent(_whole(meter.produced), seen.ranges)
            if gaps:
                missing.append(f"{meter.name}: {node.name} lacks {_named(gaps)}")
            if seen.audited is not None and seen.audited + seen.pruned < meter.produced:
                audited = f"{seen.audited} of {meter.produced}"
                missing.append(f"{meter.name}: {node.name} found {audited} commitments")
            common = intersection(common, seen.ranges)
        lost += meter.produced - size(common)
    confirmed = {node.name: confirmed_readings(meters, node) for node in nodes}
    twice = max((sum(one.twice for one in _seen(meters, node)) for node in nodes), default=0)
    return Tally(sent, journalled, confirmed, lost, twice, tuple(missing))


def confirmed_readings(meters: Iterable[MeterKept], node: NodeSeen) -> int:
    """Return how many readings of `meters` one node has confirmed; other devices do not count."""
    return sum(device.confirmed for device in _seen(meters, node))


def registers(
    meters: Sequence[MeterKept], nodes: Sequence[NodeSeen]
) -> dict[str, Journalled | None]:
    """Return by meter's name what its home edge has journalled; `None` if nothing."""
    return {meter.name: _journalled(meter.address, nodes) for meter in meters}


def common_root(history: Mapping[int, Mapping[str, str]], names: Iterable[str]) -> int | None:
    """Return the highest index at which every node was seen, all with the same root.

    Args:
        history: State root by node's name, by milestone index.
        names: The nodes that must agree.

    Returns:
        The index, or `None`. A lower index that agrees says nothing if a higher one that all
        were seen at does not, so the highest complete one decides.
    """
    wanted = set(names)
    complete = [index for index, roots in history.items() if wanted and wanted <= set(roots)]
    if not complete:
        return None
    newest = max(complete)
    roots = {history[newest][name] for name in wanted}
    return newest if len(roots) == 1 else None


def intersection(left: Sequence[Range], right: Sequence[Range]) -> list[Range]:
    """Return what both hold; both ascending and free of overlaps."""
    shared: list[Range] = []
    at, other = 0, 0
    while at < len(left) and other < len(right):
        first = max(left[at][0], right[other][0])
        last = min(left[at][1], right[other][1])
        if first <= last:
            shared.append((first, last))
        if left[at][1] < right[other][1]:
            at += 1
        else:
            other += 1
    return shared


def absent(whole: Sequence[Range], held: Sequence[Range]) -> list[Range]:
    """Return what `whole` has and `held` has not; both ascending and free of overlaps."""
    gaps: list[Range] = []
    for first, last in whole:
        at = first
        for low, high in intersection([(first, last)], held):
            if at < low:
                gaps.append((at, low - 1))
            at = high + 1
        if at <= last:
            gaps.append((at, last))
    return gaps


def size(ranges: Iterable[Range]) -> int:
    """Return how many sequences `ranges` hold."""
    return sum(last - first + 1 for first, last in ranges)


_NOTHING: Final = DeviceSeen(0, 0, (), None)


def _seen(meters: Iterable[MeterKept], node: NodeSeen) -> list[DeviceSeen]:
    return [node.devices.get(meter.address, _NOTHING) for meter in meters]


def _whole(count: int) -> list[Range]:
    return [(0, count - 1)] if count else []


def _journalled(address: str, nodes: Sequence[NodeSeen]) -> Journalled | None:
    """Return what the home edge says; should two nodes claim to be it, the one with less."""
    claims = [
        device.journalled
        for node in nodes
        if (device := node.devices.get(address)) is not None and device.journalled is not None
    ]
    return min(claims, key=lambda claim: claim.through, default=None)


def _named(gaps: Sequence[Range]) -> str:
    named = [f"{low}–{high}" if low < high else f"{low}" for low, high in gaps[:MAX_NAMED_GAPS]]
    if len(gaps) > MAX_NAMED_GAPS:
        named.append(f"and {len(gaps) - MAX_NAMED_GAPS} more gaps")
    return ", ".join(named)
