"""The metrics of one node (UX.md has the names): each is read, none needs a scan of a table."""

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from api.http.exposition import Family, Sample, counter, gauge, labelled
from api.http.service import Check, CheckStatus, PeerView
from api.node.measuring import Measures
from edge.joining.snapshots import FOLDER
from edge.journal.entries import Counts
from edge.journal.storage import JOURNAL_NAME
from edge.meters.obedience import Obedience
from tangle.address import Address
from tangle.node import NodeCore

PREFIX: Final = "tanglewatt_"
MS_PER_S: Final = 1_000


@dataclass(frozen=True, slots=True)
class Queue:
    """How full something bounded is."""

    name: str
    length: int
    limit: int


@dataclass(frozen=True, slots=True)
class Stand:
    """What the parts of a running node say of themselves."""

    queues: tuple[Queue, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of `edge.node.executor.Executor.counts`."""

    frames_refused: Mapping[str, int] = field(default_factory=dict)
    """By the name of the error."""

    frames_dropped: int = 0
    readings: Mapping[str, int] = field(default_factory=dict)
    """By what became of them at the intake."""

    messages: Mapping[str, int] = field(default_factory=dict)
    """Of the link to the broker."""

    pruned: int = 0
    """Transactions that left the journal."""

    relays: Mapping[Address, Obedience] = field(default_factory=dict)
    """Of the capable meters homed here."""

    disobeyed: int = 0
    """Readings in which one of them was held to disobey."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What a node keeps, as read just now."""

    counts: Counts
    used_bytes: int
    """Of the journal's pages."""

    pruned_through: int


def ledger_families(
    core: NodeCore, measures: Measures, confirmed_wall_ms: int, stored: Storage
) -> list[Family]:
    """Return what concerns the ledger and the tangle."""
    refused = tuple(
        Sample(count, (("place", place), ("reason", name)))
        for (place, name), count in sorted(measures.refused.items())
    )
    indexes = {
        "latest": core.latest_index,
        "confirmed": core.confirmed_index,
        "pruned": stored.pruned_through,
    }
    named: list[Family] = [
        labelled("milestone_index", "gauge", "Milestones known of.", "kind", indexes),
        gauge(
            "milestone_timestamp_seconds",
            "Wall time of the last applied milestone.",
            confirmed_wall_ms / MS_PER_S,
        ),
        gauge("halted", "1 while an operator must decide.", int(core.halted is not None)),
        labelled("vertices_total", "counter", "Attached.", "source", measures.attached),
        labelled(
            "vertices_confirmed_total", "counter", "Referenced.", "outcome", measures.confirmed
        ),
        Family("refused_total", "counter", "Refused, by place and error.", refused),
        counter("dropped_total", "Let go for want of room, parents or time.", measures.dropped),
        counter("expired_total", "Fell below max depth.", measures.expired),
        Family(
            "confirmation_seconds",
            "histogram",
            "From being attached here to being referenced.",
            measures.confirmation.samples(),
        ),
        gauge("tips", "Solid and approved by nothing.", core.graph.tip_count),
        gauge("pending", "Solid and not referenced.", core.graph.unreferenced_count),
        gauge("unsolid_vertices", "Without parents, or held.", core.waiting_count),
    ]
    return named


def storage_families(folder: Path, core: NodeCore, stored: Storage, stand: Stand) -> list[Family]:
    """Return what concerns the disk."""
    journal = folder / JOURNAL_NAME
    files = {
        "journal": _size(journal),
        "journal_used": stored.used_bytes,
        "wal": _size(journal.with_name(JOURNAL_NAME + "-wal")),
        "snapshots": _folder_size(folder / FOLDER),
    }
    tables = {
        "transactions": stored.counts.transactions,
        "milestones": stored.counts.milestones,
        "readings": stored.counts.readings,
        "ledger": len(core.ledger.rows),
    }
    disk = os.statvfs(folder)
    return [
        labelled("storage_bytes", "gauge", "On disk.", "store", files),
        gauge("storage_free_bytes", "Left on the disk.", disk.f_bavail * disk.f_frsize),
        labelled("storage_rows", "gauge", "In the journal, kept.", "table", tables),
        counter("pruned_vertices_total", "Left the journal for age.", stand.pruned),
    ]


def traffic_families(stand: Stand, peers: tuple[PeerView, ...]) -> list[Family]:
    """Return what concerns queues, peers and meters."""
    states = {
        "connected": sum(one.is_connected for one in peers),
        "absent": sum(not one.is_connected for one in peers),
        "banned": sum(one.banned_until_ms is not None for one in peers),
    }
    relays = {
        "served": len(stand.relays),
        "limited": sum(one.limit_w is not None for one in stand.relays.values()),
        "disobeying": sum(one.disobeys for one in stand.relays.values()),
    }
    aliases = {one.alias or one.peer.hex()[:8]: one for one in peers}
    lengths = {one.name: one.length for one in stand.queues}
    limits = {one.name: one.limit for one in stand.queues}
    return [
        labelled("queue_length", "gauge", "How much waits.", "queue", lengths),
        labelled("queue_limit", "gauge", "How much may wait.", "queue", limits),
        labelled("peers", "gauge", "Configured peers.", "state", states),
        labelled(
            "peer_connected",
            "gauge",
            "1 while it is heard.",
            "peer",
            {name: int(one.is_connected) for name, one in aliases.items()},
        ),
        labelled(
            "peer_standing",
            "gauge",
            "0 (banned) to 100.",
            "peer",
            {name: one.standing for name, one in aliases.items()},
        ),
        counter("bans_total", "Peers banned.", stand.counts.get("banned", 0)),
        counter("requested_total", "Transactions asked for.", stand.counts.get("requested", 0)),
        counter("answered_total", "Transactions sent on request.", stand.counts.get("answered", 0)),
        counter("overflowed_total", "Left the full fair queue.", stand.counts.get("overflowed", 0)),
        labelled("frames_refused_total", "counter", "Of the mesh.", "reason", stand.frames_refused),
        counter("frames_dropped_total", "Not sent: the queue was full.", stand.frames_dropped),
        labelled("meter_readings_total", "counter", "At the intake.", "result", stand.readings),
        labelled("meter_relays", "gauge", "Capable meters homed here.", "state", relays),
        counter(
            "meter_disobedient_readings_total",
            "Drawn against what a relay was asked for.",
            stand.disobeyed,
        ),
        labelled(
            "meter_messages_total", "counter", "Of the link to the broker.", "event", stand.messages
        ),
    ]


def node_families(version: str, role: str, checks: tuple[Check, ...]) -> list[Family]:
    """Return what the node is and how it does: the same checks as `/health`."""
    labels = (("version", version), ("role", role))
    by_name = {one.name: int(one.status is not CheckStatus.FAIL) for one in checks}
    return [
        Family("build_info", "gauge", "1, with version and role.", (Sample(1, labels),)),
        gauge("node_healthy", "1 while no check fails.", int(all(by_name.values()))),
        gauge("node_synced", "1 while the check sync does not fail.", by_name["sync"]),
        labelled("check", "gauge", "0 where it fails.", "name", by_name),
    ]


def process_families(started_ms: int) -> list[Family]:
    """Return what concerns the process, under the names that are usual for them."""
    statm = Path("/proc/self/statm")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(statm.read_text("ascii").split()[1]) if statm.exists() else 0
    open_files = Path("/proc/self/fd")
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = sum(1 for _ in open_files.iterdir()) if open_files.exists() else 0
    return [
        gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            pages * resource.getpagesize() if pages else usage.ru_maxrss * 1_024,
        ),
        gauge("process_open_fds", "Open files.", descriptors),
        gauge("process_max_fds", "How many may be open.", most),
        counter("process_cpu_seconds_total", "Of all threads.", time.process_time()),
        gauge("process_start_time_seconds", "Wall time.", started_ms / MS_PER_S),
    ]


def prefixed(families: list[Family]) -> list[Family]:
    """Return families under this project's prefix."""
    return [Family(PREFIX + one.name, one.kind, one.about, one.samples) for one in families]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # the WAL of a journal that is checkpointed, snapshots not made yet
        return 0


def _folder_size(folder: Path) -> int:
    return sum(map(_size, folder.iterdir())) if folder.is_dir() else 0
