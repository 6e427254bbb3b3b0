"""The `governance` contract: what the voters of a community decide together.

A ballot names an act with its arguments and says yes or no. An act that more than half of the
voters of that moment want is carried out at once. So far there is one act: who signs milestones.
"""

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from tangle.accounts import (
    COORDINATORS_KEY,
    IDENTITY_PREFIX,
    CoordinatorKeys,
    decode_identity,
)
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.hashing import digest, domain
from tangle.keys import KeyField
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import (
    MAX_CALL_SIZE,
    MAX_COORDINATOR_KEYS,
    Counter,
    HashField,
    Operation,
)

NAME: Final = "governance"
VOTE_PREFIX: Final = b"governance/vote/"
LAPSE_MS: Final = 2_592_000_000
"""Ledger time for which a vote stays open: 30 days."""

MAX_OPEN_VOTES: Final = 8
"""That one voter may have opened at a time: each is a row, looked at with every milestone."""

_MAX_ROW_SIZE: Final = 2**24
"""Of an open vote: the ballots of more voters than a community has."""

_DOMAIN: Final = domain("governance.vote")


class CoordinatorKeysAct(msgspec.Struct, frozen=True, array_like=True, tag="coordinator_keys"):
    """Let these keys sign from the next milestone on, so many of them each."""

    keys: Annotated[
        tuple[KeyField, ...], msgspec.Meta(min_length=1, max_length=MAX_COORDINATOR_KEYS)
    ]
    """Strictly ascending."""

    quorum: Annotated[int, msgspec.Meta(ge=1, le=MAX_COORDINATOR_KEYS)]
    """More than half of the keys: two milestones of one index need a key that signs twice."""

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.keys)):
            raise ValueError("coordinator keys must be distinct and in ascending order")
        count = len(self.keys)
        if not count < 2 * self.quorum <= 2 * count:
            raise ValueError(f"a quorum of {self.quorum} of {count} keys is not more than half")


Act = CoordinatorKeysAct
"""The closed union of what can be voted on."""


class Vote(msgspec.Struct, frozen=True, array_like=True, tag="vote"):
    """A voter's ballot; the first one on an act opens the vote, a later one replaces it."""

    act: Act
    yes: bool


class OpenVote(msgspec.Struct, frozen=True, array_like=True):
    """A row: an act that is not decided yet. Gone when it passes or lapses."""

    act: Act
    number: Counter
    """Order of opening among the open votes."""

    opened_at_ms: Counter
    """Ledger time of the milestone that opened it."""

    opener: HashField
    yes: tuple[HashField, ...]
    """Addresses, ascending, also of those who are no voters any more: these do not count."""

    no: tuple[HashField, ...]


_decoder: Final = Decoder(Vote, "governance call", MAX_CALL_SIZE)
_votes: Final = Decoder(OpenVote, "vote row", _MAX_ROW_SIZE)


def vote_operation(call: Vote) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def vote_key(act: Act) -> bytes:
    """Return the key of an act's row: the same act is the same vote, whoever opens it."""
    return VOTE_PREFIX + digest(_DOMAIN + encode(act))


def open_votes(rows: RowReader) -> list[OpenVote]:
    """Return the votes that are not decided, in order of opening."""
    found = [_votes.decode(value) for _, value in rows.scan(VOTE_PREFIX)]
    return sorted(found, key=lambda one: one.number)


def apply_governance(rows: RowReader, call: Vote, context: Context) -> Changed | Reason:
    """Count a ballot, and carry the act out once more than half of all voters want it.

    Returns:
        The vote's row, or what the act changes; or `NOT_ALLOWED` (the issuer is no voter),
        `TOO_MANY_VOTES` (it has opened too many that are undecided).
    """
    voters = _voters(rows)
    if context.address not in voters:
        return Reason.NOT_ALLOWED
    key = vote_key(call.act)
    value = rows.get(key)
    vote = None if value is None else _votes.decode(value)
    if vote is None or _has_lapsed(vote, context.timestamp_ms):
        others = [one for one in open_votes(rows) if vote is None or one.number != vote.number]
        if sum(one.opener == context.address for one in others) >= MAX_OPEN_VOTES:
            return Reason.TOO_MANY_VOTES
        number = max((one.number for one in others), default=0) + 1
        vote = OpenVote(call.act, number, context.timestamp_ms, context.address, (), ())
    vote = _with_ballot(vote, context.address, is_yes=call.yes)
    event = Event(
        "governance.voted",
        (
            ("act", _tag(call.act)),
            ("voter", context.address),
            ("ballot", "yes" if call.yes else "no"),
        ),
    )
    if 2 * sum(one in voters for one in vote.yes) <= len(voters):
        return Changed({key: encode(vote)}, (event,))
    passed = Event("governance.passed", (("act", _tag(call.act)),))
    return Changed({key: None, **_carried_out(call.act)}, (event, passed))


def end_votes(rows: RowReader, _index: int, timestamp_ms: int) -> Changed:
    """Return the rows without the votes that have lapsed."""
    lapsed = [one for one in open_votes(rows) if _has_lapsed(one, timestamp_ms)]
    return Changed({vote_key(one.act): None for one in lapsed})


def _carried_out(act: Act) -> dict[bytes, bytes | None]:
    """Return what an act changes. The state after a milestone names who signs the next one."""
    return {COORDINATORS_KEY: encode(CoordinatorKeys(act.keys, act.quorum))}


def _tag(act: Act) -> str:
    return str(act.__struct_config__.tag)


def _voters(rows: RowReader) -> frozenset[bytes]:
    return frozenset(
        key.removeprefix(IDENTITY_PREFIX)
        for key, value in rows.scan(IDENTITY_PREFIX)
        if decode_identity(value).role == "voter"
    )


def _has_lapsed(vote: OpenVote, timestamp_ms: int) -> bool:
    return timestamp_ms - vote.opened_at_ms >= LAPSE_MS


def _with_ballot(vote: OpenVote, voter: Address, *, is_yes: bool) -> OpenVote:
    yes, no = set(vote.yes) - {voter}, set(vote.no) - {voter}
    (yes if is_yes else no).add(voter)
    return msgspec.structs.replace(vote, yes=tuple(sorted(yes)), no=tuple(sorted(no)))


CONTRACT: Final = Contract(NAME, _decoder.decode, apply_governance, end_votes)
