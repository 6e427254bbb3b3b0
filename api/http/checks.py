"""Health as numbers judged: the page and a supervisor read the same function."""

from dataclasses import dataclass
from typing import Final

from api.http.service import Check, CheckStatus
from edge.joining.join_state import NOT_JOINING, JoinState

MAX_BEHIND: Final = 2
"""Milestones that a synced node may still have to apply: what arrives between two looks."""

LATE_INTERVALS: Final = 5
"""Milestone intervals without a milestone after which a person should look."""

SILENT_INTERVALS: Final = 30
"""After this many the coordinator is taken for stopped: nothing is being confirmed."""

LOW_DISK_BYTES: Final = 2**30
DAY_MS: Final = 86_400_000
RENEW_WITHIN_DAYS: Final = 30
"""A certificate that ends sooner should be renewed: time for a person to come by."""

NO_DISK_BYTES: Final = 64 * 2**20
"""Below it the next commits may fail: stop before they do."""


@dataclass(frozen=True, slots=True)
class SigningState:
    """How the signing of milestones goes here; empty on a node that signs none."""

    waits: str | None = None
    """Whose signatures the proposed milestone has been waiting for."""

    refusal: str | None = None
    """Why this node does not sign what is proposed."""


@dataclass(frozen=True, slots=True)
class SettlingState:
    """What of the settlements needs somebody to look; empty where nothing does."""

    refused: tuple[str, ...] = ()
    """Of each unit that waits: which, its report, and why the ledger refused it."""

    unreachable: tuple[str, ...] = ()
    """Settling edges, with their units, that cannot ask for the sums kept for them."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the checks look at."""

    behind: int
    """Milestones known of and not applied."""

    estimate_ms: int | None
    """How long these will take; `None` while that is not known."""

    is_stranded: bool
    """Whether no peer keeps the next one any more."""

    quiet_ms: int
    """Wall time since the last applied milestone was issued; negative if it is ahead of us."""

    milestone_interval_ms: int
    max_clock_ahead_ms: int
    halted: str | None
    """Why confirmation stopped."""

    peers: int
    connected: int
    is_writable: bool
    """Whether the data folder's file system can be written."""

    free_bytes: int
    certificate_left_ms: int | None
    """Wall time until peers refuse the node's certificate; `None` for plain links."""

    signing: SigningState = SigningState()
    joining: JoinState = NOT_JOINING
    settling: SettlingState = SettlingState()


def health_checks(vitals: Vitals) -> tuple[Check, ...]:
    """Return all checks, always in one order."""
    return (
        _storage(vitals),
        _sync(vitals),
        _peers(vitals),
        _coordinator(vitals),
        _clock(vitals),
        _disk(vitals),
        _certificate(vitals),
        _signing(vitals.signing),
        _settling(vitals.settling),
    )


def _storage(vitals: Vitals) -> Check:
    if not vitals.is_writable:
        return Check("storage", CheckStatus.FAIL, "the data folder is read-only")
    return Check("storage", CheckStatus.PASS, "the data folder can be written")


def _sync(vitals: Vitals) -> Check:
    if vitals.halted is not None:
        return Check("sync", CheckStatus.FAIL, f"confirmation stopped: {vitals.halted}")
    behind = f"{vitals.behind} milestones behind, {MAX_BEHIND} are usual"
    if vitals.behind > MAX_BEHIND:
        if vitals.estimate_ms is not None:
            behind += f", about {-(-vitals.estimate_ms // 1_000)} s to go"
        behind += _joining(vitals.joining)
        if vitals.is_stranded:
            behind += "; no peer keeps the next one any more: start from a snapshot"
        return Check("sync", CheckStatus.FAIL, behind)
    return Check("sync", CheckStatus.PASS, behind)


def _joining(joining: JoinState) -> str:
    """Return the words for how far a snapshot is on its way, or why none is of use."""
    progress = joining.progress
    if progress is None:
        return "" if joining.refused is None else f"; no snapshot is of use: {joining.refused}"
    if progress.phase == "asking":
        return "; asks peers for a snapshot"
    what = f"the snapshot of milestone {progress.index}"
    if progress.phase == "checking":
        return f"; checks {what}"
    said = f"; fetches {what}: {progress.fetched_bytes} of {progress.size_bytes} bytes"
    if progress.estimate_ms is not None:
        said += f", about {-(-progress.estimate_ms // 1_000)} s to go"
    return said


def _peers(vitals: Vitals) -> Check:
    detail = f"{vitals.connected} of {vitals.peers} peers connected"
    if vitals.peers and not vitals.connected:
        return Check("peers", CheckStatus.FAIL, detail)
    if vitals.connected < vitals.peers:
        return Check("peers", CheckStatus.WARN, detail)
    return Check("peers", CheckStatus.PASS, detail)


def _coordinator(vitals: Vitals) -> Check:
    interval_ms = vitals.milestone_interval_ms
    quiet_ms = max(0, vitals.quiet_ms)
    detail = f"last milestone {quiet_ms} ms ago, one is due every {interval_ms} ms"
    if quiet_ms > SILENT_INTERVALS * interval_ms:
        return Check("coordinator", CheckStatus.FAIL, detail)
    if quiet_ms > LATE_INTERVALS * interval_ms:
        return Check("coordinator", CheckStatus.WARN, detail)
    return Check("coordinator", CheckStatus.PASS, detail)


def _clock(vitals: Vitals) -> Check:
    ahead_ms = max(0, -vitals.quiet_ms)
    detail = (
        f"the last milestone is {ahead_ms} ms ahead of this clock, "
        f"{vitals.max_clock_ahead_ms} ms are tolerated"
    )
    if 2 * ahead_ms > vitals.max_clock_ahead_ms:
        return Check("clock", CheckStatus.WARN, detail)
    return Check("clock", CheckStatus.PASS, detail)


def _disk(vitals: Vitals) -> Check:
    detail = f"{vitals.free_bytes} bytes free, {NO_DISK_BYTES} are needed"
    if vitals.free_bytes < NO_DISK_BYTES:
        return Check("disk", CheckStatus.FAIL, detail)
    if vitals.free_bytes < LOW_DISK_BYTES:
        return Check("disk", CheckStatus.WARN, detail)
    return Check("disk", CheckStatus.PASS, detail)


def _certificate(vitals: Vitals) -> Check:
    left_ms = vitals.certificate_left_ms
    if left_ms is None:
        return Check("certificate", CheckStatus.PASS, "none: links between nodes are plain")
    if left_ms <= 0:
        detail = "expired: peers refuse it; renew it with `tanglewatt mesh renew`"
        return Check("certificate", CheckStatus.FAIL, detail)
    detail = f"ends in {left_ms // DAY_MS} days, is to be renewed {RENEW_WITHIN_DAYS} days before"
    if left_ms < RENEW_WITHIN_DAYS * DAY_MS:
        return Check("certificate", CheckStatus.WARN, detail)
    return Check("certificate", CheckStatus.PASS, detail)


def _signing(signing: SigningState) -> Check:
    if signing.waits is not None:
        return Check("signing", CheckStatus.FAIL, f"nothing is confirmed: {signing.waits}")
    if signing.refusal is not None:
        return Check("signing", CheckStatus.WARN, f"not signed here: {signing.refusal}")
    return Check("signing", CheckStatus.PASS, "no milestone waits for a signature")


def _settling(settling: SettlingState) -> Check:
    if settling.refused:
        detail = f"the ledger refuses reports: {'; '.join(settling.refused)}"
        return Check("settlement", CheckStatus.WARN, detail)
    if settling.unreachable:
        detail = f"nobody can ask for the sums kept here: {'; '.join(settling.unreachable)}"
        return Check("settlement", CheckStatus.WARN, detail)
    return Check("settlement", CheckStatus.PASS, "no unit waits for an operator")
