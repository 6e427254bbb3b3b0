"""The thirteen checks of a certification node, in their order; the first that fails decides.

Each check is a function of the case alone and relies on no other: taken out, what it guards is
open (the tests take out each one). A request is matched against the ledger as the node has it,
never against what the requester says of the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from access.codes import Code
from access.identity.idot import are_current, signing_key
from access.matching.case import Case, Vantage, case_of, chunks_of, label_of
from access.matching.chain import check_signatures
from access.matching.circumstances import is_present, is_timely
from access.matching.message import ask_message, read_ask
from access.requests.records import grant_id, salt_hash
from access.streams.sealing import label_bytes
from access.threshold.tdh2 import is_capsule
from access.tokens.dact import commitment
from access.tokens.evidence import evidence_hash
from tangle.accounts import network_hash
from tangle.codec import encode
from tangle.cohorts import node_index
from tangle.errors import MalformedBytesError
from tangle.keys import is_signed

Check = Callable[[Case], Code | None]
"""Returns why a case is denied, or `None`."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Every check passed: this node may give its part."""

    case: Case
    index: int
    """Of the node's share."""

    is_offline: bool


@dataclass(frozen=True, slots=True)
class Denied:
    """The first check that failed says why."""

    code: Code
    case: Case | None
    """`None` for what could not even be read."""


def decide(data: bytes, at: Vantage) -> Allowed | Denied:
    """Match an ask with what the ledger has registered.

    Args:
        data: The opened bytes of an ask. Any bytes.
        at: The node's ledger, clocks and memory.
    """
    try:
        signed = read_ask(data)
    except MalformedBytesError:
        return Denied(Code.DENY_PARSE, None)
    case = case_of(data, signed, at)
    for check in CHECKS.values():
        code = check(case)
        if code is not None:
            return Denied(code, case)
    nodes = () if case.vault is None else case.vault.nodes
    return Allowed(case, node_index(nodes, at.node), case.is_stale)


def _parse(case: Case) -> Code | None:
    """A: the one spelling."""
    return None if encode(case.signed) == case.data else Code.DENY_PARSE


def _confirmed(case: Case) -> Code | None:
    """B: on the ledger before anything is released, and on a view that is fresh."""
    if case.request is None:
        return Code.DENY_UNCONFIRMED
    allowed_ms = case.max_stale_ms + case.dact.offline_grace_ms
    return Code.DENY_STALE if case.at.view_age_ms > allowed_ms else None


def _clock(case: Case) -> Code | None:
    """C: own clock and milestones tell the same time."""
    expected_ms = case.at.milestone_ms + case.at.view_age_ms
    return Code.DENY_CLOCK if abs(case.at.now_ms - expected_ms) > case.skew_ms else None


def _registered(case: Case) -> Code | None:
    """D: the document is the one that the ledger commits to: the match."""
    if case.request is None or case.grant is None:
        return Code.DENY_NOT_REGISTERED
    shown = case.ask.grants[0]
    if grant_id(case.grant.registrar, salt_hash(shown.salt)) != case.request.grant:
        return Code.DENY_NOT_REGISTERED
    is_same = commitment(shown.signed, shown.salt) == case.grant.commitment
    return None if is_same else Code.DENY_MISMATCH


def _alive(case: Case) -> Code | None:
    """F: not revoked, begun, not over, and every key current."""
    if case.grant is None or case.grant.revocation is not None:
        return Code.DENY_REVOKED
    context = case.dact.context
    if case.from_ms < context.not_before_ms:
        return Code.DENY_NOT_YET
    if case.to_ms >= min(context.not_after_ms, case.grant.not_after_ms):
        return Code.DENY_EXPIRED
    things = {case.dact.owner, *(one.signed.dact.subject for one in case.ask.grants)}
    is_current = all(
        are_current(case.at.rows, thing, case.from_ms, case.to_ms) for thing in sorted(things)
    )
    return None if is_current else Code.DENY_IDENTITY


def _subject(case: Case) -> Code | None:
    """G: who asked on the ledger is whom the grant is for, and signed this for this node."""
    asked, ask = case.request, case.ask
    if asked is None or asked.requester != case.dact.subject:
        return Code.DENY_SUBJECT
    named = (ask.genesis_hash, ask.node, ask.kem_key)
    if named != (network_hash(case.at.rows), case.at.node, asked.kem_key):
        return Code.DENY_SIG
    if evidence_hash(ask.evidence, ask.evidence_salt) != asked.evidence:
        return Code.DENY_SIG
    key = signing_key(case.at.rows, case.dact.subject)
    if key is None or not is_signed(key, ask_message(ask), case.signed.signature):
        return Code.DENY_SIG
    return None


def _fresh(case: Case) -> Code | None:
    """H: answered once."""
    return Code.DENY_REPLAY if case.replay_key in case.at.answered else None


def _scope(case: Case) -> Code | None:
    """I: every chunk is of that stream and interval, and the action is granted."""
    resource, action = case.dact.resource, case.ask.evidence.action
    if action == "delegate" or action not in case.dact.actions:
        return Code.DENY_SCOPE
    if case.request is None or case.request.stream != resource.stream:
        return Code.DENY_SCOPE
    for _, one in chunks_of(case):
        if one is None or one.vault != resource.vault:
            return Code.DENY_SCOPE
        if not resource.from_ms <= one.from_ms < one.to_ms <= resource.to_ms:
            return Code.DENY_SCOPE
    return None


def _circumstances(case: Case) -> Code | None:
    """J: the purpose, the place and the time of day."""
    fits = (
        case.ask.evidence.purpose == case.dact.context.purpose
        and is_present(case)
        and is_timely(case)
    )
    return None if fits else Code.DENY_CONTEXT


def _quota(case: Case) -> Code | None:
    """K: what was used before, in the order of the ledger; from a stale view, by this node."""
    if case.request is None:
        return Code.DENY_QUOTA
    limits, before = case.dact.limits, case.request.before
    is_used_up = (
        before.requests >= limits.max_uses
        or before.chunks + len(case.request.chunks) > limits.max_chunks
        or before.in_hour >= limits.per_hour
        or (case.is_stale and case.at.offline_releases >= limits.per_hour)
    )
    return Code.DENY_QUOTA if is_used_up else None


def _threshold(case: Case) -> Code | None:
    """L: the cohort and the threshold are the vault's, and this node holds a share."""
    said, held = case.dact.threshold, case.vault
    if held is None or case.grant is None or held.sharing is None:
        return Code.DENY_THRESHOLD
    named = (said.cohort, said.generation, said.n)
    is_same = named == (held.cohort, held.generation, len(held.nodes))
    is_enough = said.k >= held.k and said.k == case.grant.k
    index = node_index(held.nodes, case.at.node)
    is_holder = index in held.sharing.acknowledged
    return None if is_same and is_enough and is_holder else Code.DENY_THRESHOLD


def _capsules(case: Case) -> Code | None:
    """M: each capsule, from the ledger, was made for the very chunk that it stands in."""
    for number, one in chunks_of(case):
        if one is None or case.request is None:
            return Code.DENY_CAPSULE
        label = label_of(case.at.rows, case.request.stream, number, one)
        if label is None or not is_capsule(one.capsule, label_bytes(label)):
            return Code.DENY_CAPSULE
    return None


CHECKS: Final[dict[str, Check]] = {
    "a": _parse,
    "b": _confirmed,
    "c": _clock,
    "d": _registered,
    "e": check_signatures,
    "f": _alive,
    "g": _subject,
    "h": _fresh,
    "i": _scope,
    "j": _circumstances,
    "k": _quota,
    "l": _threshold,
    "m": _capsules,
}
"""In the order in which they are made."""
