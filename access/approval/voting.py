"""The approver vote on the ledger: more than half of all registered nodes, with one proof.

Who is silent counts as not having agreed, and the number of nodes is that of the cohort when the
header came: nobody gains a majority by silencing others, nor by a smaller cohort. A decision is
final; two different votes of one node void each other and suspend it until voters renew the cohort.
"""

from collections import Counter as Tally
from typing import Annotated, Final, Literal

import msgspec

from access.identity.idot import signing_key
from tangle.accounts import identity, network_hash
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.cohorts import MAX_NODES, Cohort, cohort, has_quorum
from tangle.contracts import Changed, Context
from tangle.hashing import domain
from tangle.keys import SignatureField, is_signed
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import Counter, HashField, Label

APPROVAL_PREFIX: Final = b"access/approval/"
DEADLINE_PREFIX: Final = b"access/deadline/"
EQUIVOCATION_PREFIX: Final = b"access/equivocation/"
MAX_VOTING_MS: Final = 86_400_000
"""From header to deadline."""

_TIME_SIZE: Final = 8
_MAX_ROW_SIZE: Final = 32_768
_VOTE: Final = domain("access.vote")

Flag = Annotated[int, msgspec.Meta(ge=0, le=1)]


class Header(msgspec.Struct, frozen=True, array_like=True, tag="header"):
    """Ask a cohort to approve what a session came to. By an edge node."""

    cohort: Label
    session: HashField
    root: HashField
    """Over the meter's records."""

    activity: Label
    deadline_ms: Counter


class Ballot(msgspec.Struct, frozen=True, array_like=True):
    """What a node signs."""

    genesis_hash: HashField
    transaction: HashField
    """Id of the header's."""

    proof: HashField
    is_yes: Flag
    node: AddressField
    cohort: Label
    generation: Counter
    ledger_index: Counter
    """Of the last milestone the node had applied."""


class CastVote(msgspec.Struct, frozen=True, array_like=True, tag="vote"):
    """Vote on a header. By anybody: the node's signature decides."""

    ballot: Ballot
    signature: SignatureField


class Approval(msgspec.Struct, frozen=True, array_like=True):
    """A row: a header, and what its cohort says to it."""

    header: Header
    cohort: Cohort
    """As it was when the header came."""

    state: Literal["open", "accepted", "discarded"]
    proof: HashField | None
    """Of those who agreed."""

    votes: Annotated[tuple[CastVote, ...], msgspec.Meta(max_length=MAX_NODES)]
    """One of each node, in the order of the ledger; gone after the deadline."""

    voided: Annotated[tuple[AddressField, ...], msgspec.Meta(max_length=MAX_NODES)]
    """Nodes that voted in two ways."""


class Equivocation(msgspec.Struct, frozen=True, array_like=True):
    """A row: two votes that contradict each other. Its node is suspended."""

    one: CastVote
    other: CastVote


class Due(msgspec.Struct, frozen=True, array_like=True):
    """A row: that a vote ends at the time in its key."""


ApprovalCall = Header | CastVote

_approvals: Final = Decoder(Approval, "approval row", _MAX_ROW_SIZE)
_equivocations: Final = Decoder(Equivocation, "equivocation row", _MAX_ROW_SIZE)
_dues: Final = Decoder(Due, "deadline row", 16)
_DUE: Final = encode(Due())


def approval_key(transaction: bytes) -> bytes:
    """Return the key of an approval's row."""
    return APPROVAL_PREFIX + transaction


def approval(rows: RowReader, transaction: bytes) -> Approval | None:
    """Return what became of a header, by the id of its transaction."""
    value = rows.get(approval_key(transaction))
    return None if value is None else _approvals.read(value)


def equivocation_key(cohort_name: str, generation: int, node: bytes) -> bytes:
    """Return the key of the evidence against a node of one generation of a cohort."""
    return b"%s%s/%d/%s" % (EQUIVOCATION_PREFIX, cohort_name.encode("ascii"), generation, node)


def equivocation(
    rows: RowReader, cohort_name: str, generation: int, node: bytes
) -> Equivocation | None:
    """Return the evidence that suspends a node; `None` if it is not suspended."""
    value = rows.get(equivocation_key(cohort_name, generation, node))
    return None if value is None else _equivocations.read(value)


def ballot_message(ballot: Ballot) -> bytes:
    """Return the bytes that a node signs."""
    return _VOTE + encode(ballot)


def contradict(one: CastVote, other: CastVote, key: bytes) -> bool:
    """Return whether two votes are evidence: one key, one transaction, two answers."""
    same = (one.ballot.genesis_hash, one.ballot.transaction, one.ballot.node) == (
        other.ballot.genesis_hash,
        other.ballot.transaction,
        other.ballot.node,
    )
    differ = (one.ballot.proof, one.ballot.is_yes) != (other.ballot.proof, other.ballot.is_yes)
    signed = all(
        is_signed(key, ballot_message(each.ballot), each.signature) for each in (one, other)
    )
    return same and differ and signed


def apply_approval(rows: RowReader, call: ApprovalCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    match call:
        case Header():
            return _header(rows, call, context)
        case CastVote():
            return _vote(rows, call, context)


def end_votes(rows: RowReader, _index: int, timestamp_ms: int) -> Changed:
    """Return the rows after the votes whose deadline has come: undecided ones are discarded."""
    draft = Draft(rows)
    events = []
    due = []
    for key in rows.walk(DEADLINE_PREFIX):
        at = key.removeprefix(DEADLINE_PREFIX)
        if int.from_bytes(at[:_TIME_SIZE]) > timestamp_ms:
            break
        due.append((key, at[_TIME_SIZE:]))
    for key, transaction in due:
        held = approval(rows, transaction)
        assert held is not None, "a deadline names an approval"
        after = msgspec.structs.replace(held, votes=())
        if held.state == "open":
            after = msgspec.structs.replace(after, state="discarded")
            fields = (("transaction", transaction.hex()), ("reason", "deadline"))
            events.append(Event("access.discarded", fields))
        draft.put({key: None, approval_key(transaction): encode(after)})
    return Changed(draft.changes, tuple(events))


def _header(rows: RowReader, call: Header, context: Context) -> Changed | Reason:
    """Open a vote; or `NOT_ALLOWED` (no edge node), `NO_SUCH_OBJECT`, `OUT_OF_RANGE`."""
    node = identity(rows, context.address)
    if node is None or node.role != "edge":
        return Reason.NOT_ALLOWED
    current = cohort(rows, call.cohort)
    if current is None:
        return Reason.NO_SUCH_OBJECT
    now_ms = context.timestamp_ms
    if not now_ms < call.deadline_ms <= now_ms + MAX_VOTING_MS:
        return Reason.OUT_OF_RANGE
    opened = Approval(call, current, "open", None, (), ())
    due = DEADLINE_PREFIX + call.deadline_ms.to_bytes(_TIME_SIZE) + context.tx_id
    fields = (
        ("transaction", context.tx_id.hex()),
        ("session", call.session.hex()),
        ("cohort", call.cohort),
        ("generation", current.generation),
        ("deadline_ms", call.deadline_ms),
    )
    return Changed(
        {approval_key(context.tx_id): encode(opened), due: _DUE},
        (Event("access.header", fields),),
    )


def _vote(rows: RowReader, call: CastVote, context: Context) -> Changed | Reason:
    """Count a vote; or why not.

    `NO_SUCH_OBJECT` (no such header), `NOT_ALLOWED` (not of that cohort and generation),
    `BAD_PROOF`, `EXPIRED`, `SUSPENDED`, `DUPLICATE_VOTE`.
    """
    ballot = call.ballot
    held = approval(rows, ballot.transaction)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    refusal = _uncountable(rows, call, held, context.timestamp_ms)
    if refusal is not None:
        return refusal
    before = next((one for one in held.votes if one.ballot.node == ballot.node), None)
    if before is None:
        return _counted(held, call)
    if (before.ballot.proof, before.ballot.is_yes) == (ballot.proof, ballot.is_yes):
        return Reason.DUPLICATE_VOTE
    return _voided(held, before, call)


def _uncountable(rows: RowReader, call: CastVote, held: Approval, now_ms: int) -> Reason | None:
    ballot = call.ballot
    named = (ballot.cohort, ballot.generation)
    if named != (held.header.cohort, held.cohort.generation) or (
        ballot.node not in held.cohort.nodes
    ):
        return Reason.NOT_ALLOWED
    key = signing_key(rows, Address(ballot.node))
    if key is None or ballot.genesis_hash != network_hash(rows):
        return Reason.BAD_PROOF
    if not is_signed(key, ballot_message(ballot), call.signature):
        return Reason.BAD_PROOF
    if now_ms >= held.header.deadline_ms:
        return Reason.EXPIRED
    if equivocation(rows, ballot.cohort, ballot.generation, ballot.node) is not None:
        return Reason.SUSPENDED
    return None


def _counted(held: Approval, call: CastVote) -> Changed:
    ballot = call.ballot
    after = msgspec.structs.replace(held, votes=(*held.votes, call))
    fields = (
        ("transaction", ballot.transaction.hex()),
        ("node", ballot.node),
        ("ballot", "yes" if ballot.is_yes else "no"),
    )
    events = [Event("access.voted", fields)]
    agreed = _agreed_proof(after) if held.state == "open" else None
    if agreed is not None:
        after = msgspec.structs.replace(after, state="accepted", proof=agreed)
        decided = (("transaction", ballot.transaction.hex()), ("proof", agreed.hex()))
        events.append(Event("access.accepted", decided))
    return Changed({approval_key(ballot.transaction): encode(after)}, tuple(events))


def _agreed_proof(held: Approval) -> bytes | None:
    """Return the proof that enough of all nodes said yes to."""
    tally = Tally(
        one.ballot.proof
        for one in held.votes
        if one.ballot.is_yes and one.ballot.node not in held.voided
    )
    return next((proof for proof, yes in tally.items() if has_quorum(held.cohort, yes)), None)


def _voided(held: Approval, before: CastVote, call: CastVote) -> Changed:
    """Count neither, keep both as evidence, and suspend the node."""
    ballot = call.ballot
    after = msgspec.structs.replace(held, voided=(*held.voided, ballot.node))
    key = equivocation_key(ballot.cohort, ballot.generation, ballot.node)
    fields = (("transaction", ballot.transaction.hex()), ("node", ballot.node))
    return Changed(
        {
            approval_key(ballot.transaction): encode(after),
            key: encode(Equivocation(before, call)),
        },
        (Event("access.equivocated", fields),),
    )


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key.startswith(APPROVAL_PREFIX):
        return _approvals.decode(value)
    if key.startswith(EQUIVOCATION_PREFIX):
        return _equivocations.decode(value)
    return _dues.decode(value) if key.startswith(DEADLINE_PREFIX) else None
