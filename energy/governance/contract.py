"""The `governance` contract: what the voters of a community decide together.

A ballot names an act with its arguments and says yes or no. An act that more than half of the
voters of that moment want is carried out at once; when that changes who votes, the open votes
are counted anew, in the order in which they were opened.
"""

from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from energy.governance.acts import Act, AddVoter, RemoveUnit, RemoveVoter, Vote, act_name, decoder
from energy.governance.rules import carried_out, take_effect
from energy.members import is_voter, voters
from energy.powerchain.registry import gap_without
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.hashing import digest, domain
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import Counter, HashField, Operation

NAME: Final = "governance"
VOTE_PREFIX: Final = b"governance/vote/"
LAPSE_MS: Final = 2_592_000_000
"""Ledger time for which a vote stays open: 30 days."""

MAX_OPEN_VOTES: Final = 8
"""That one voter may have opened at a time: each is a row, looked at with every milestone."""

_MAX_ROW_SIZE: Final = 2**24
"""Of an open vote: the ballots of more voters than a community has."""

_DOMAIN: Final = domain("governance.vote")


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


_votes: Final = Decoder(OpenVote, "vote row", _MAX_ROW_SIZE)


def vote_operation(call: Vote) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def vote_key(act: Act) -> bytes:
    """Return the key of an act's row: the same act is the same vote, whoever opens it."""
    return VOTE_PREFIX + digest(_DOMAIN + encode(act))


def open_votes(rows: RowReader) -> list[OpenVote]:
    """Return the votes that are not decided, in order of opening."""
    found = [_votes.read(value) for _, value in rows.scan(VOTE_PREFIX)]
    return sorted(found, key=lambda one: one.number)


def apply_governance(rows: RowReader, call: Vote, context: Context) -> Changed | Reason:
    """Count a ballot, and carry the act out once more than half of all voters want it.

    Returns:
        The vote's row, or what the act changes; or `NOT_ALLOWED` (the issuer is no voter),
        `TOO_MANY_VOTES` (it has opened too many that are undecided), or why the act could not
        be carried out now.
    """
    if not is_voter(rows, context.address):
        return Reason.NOT_ALLOWED  # before all voters are looked for: anybody can ask for this
    possible = carried_out(rows, call.act)
    if isinstance(possible, Reason):
        return possible
    vote = _vote_on(rows, call.act, context)
    if isinstance(vote, Reason):
        return vote
    vote = _with_ballot(vote, context.address, is_yes=call.yes)
    event = _voted(rows, call, context.address)
    if not _passes(vote, voters(rows)):
        return Changed({vote_key(call.act): encode(vote)}, (event,))
    draft = Draft(rows)
    draft.put({vote_key(call.act): None, **possible.changes})
    events = [event, _passed(call.act), *possible.events]
    if _changes_voters(call.act):
        events += _recount(draft, context.timestamp_ms)
    return Changed(draft.changes, tuple(events))


def end_votes(rows: RowReader, _index: int, timestamp_ms: int) -> Changed:
    """Return the rows without the votes that have lapsed, and with the decided parameters."""
    draft = Draft(rows)
    lapsed = [one for one in open_votes(rows) if _has_lapsed(one, timestamp_ms)]
    draft.put({vote_key(one.act): None for one in lapsed})
    events = [Event("governance.lapsed", (("act", act_name(one.act)),)) for one in lapsed]
    events += take_effect(draft)
    return Changed(draft.changes, tuple(events))


def _vote_on(rows: RowReader, act: Act, context: Context) -> OpenVote | Reason:
    """Return the open vote on an act, or a new one; or `TOO_MANY_VOTES`."""
    value = rows.get(vote_key(act))
    vote = None if value is None else _votes.read(value)
    if vote is not None and not _has_lapsed(vote, context.timestamp_ms):
        return vote
    others = [one for one in open_votes(rows) if vote is None or one.number != vote.number]
    if sum(one.opener == context.address for one in others) >= MAX_OPEN_VOTES:
        return Reason.TOO_MANY_VOTES
    number = max((one.number for one in others), default=0) + 1
    return OpenVote(act, number, context.timestamp_ms, context.address, (), ())


def _recount(draft: Draft, timestamp_ms: int) -> list[Event]:
    """Carry out what passes among the voters there are now, until nothing more does.

    What passes and has become impossible meanwhile is void: its vote is gone without effect.
    """
    events: list[Event] = []
    vote = _first_passing(draft, timestamp_ms)
    while vote is not None:
        draft.put({vote_key(vote.act): None})
        decided = carried_out(draft, vote.act)
        if isinstance(decided, Reason):
            fields = (("act", act_name(vote.act)), ("reason", str(decided)))
            events.append(Event("governance.void", fields))
        else:
            draft.put(decided.changes)
            events += [_passed(vote.act), *decided.events]
        vote = _first_passing(draft, timestamp_ms)
    return events


def _first_passing(rows: RowReader, timestamp_ms: int) -> OpenVote | None:
    entitled = voters(rows)
    alive = (one for one in open_votes(rows) if not _has_lapsed(one, timestamp_ms))
    return next((one for one in alive if _passes(one, entitled)), None)


def _passes(vote: OpenVote, entitled: AbstractSet[bytes]) -> bool:
    return 2 * sum(one in entitled for one in vote.yes) > len(entitled)


def _changes_voters(act: Act) -> bool:
    return isinstance(act, AddVoter | RemoveVoter)


def _has_lapsed(vote: OpenVote, timestamp_ms: int) -> bool:
    return timestamp_ms - vote.opened_at_ms >= LAPSE_MS


def _with_ballot(vote: OpenVote, voter: Address, *, is_yes: bool) -> OpenVote:
    yes, no = set(vote.yes) - {voter}, set(vote.no) - {voter}
    (yes if is_yes else no).add(voter)
    return msgspec.structs.replace(vote, yes=tuple(sorted(yes)), no=tuple(sorted(no)))


def _voted(rows: RowReader, call: Vote, voter: Address) -> Event:
    """Return the event of a ballot; one on removing a unit shows the rate that would follow."""
    fields: tuple[tuple[str, str | int | bytes], ...] = (
        ("act", act_name(call.act)),
        ("voter", voter),
        ("ballot", "yes" if call.yes else "no"),
    )
    if isinstance(call.act, RemoveUnit):
        after = gap_without(rows, call.act.unit)
        fields = (*fields, ("rate_after_ppm", after.rate_ppm))
    return Event("governance.voted", fields)


def _passed(act: Act) -> Event:
    return Event("governance.passed", (("act", act_name(act)),))


CONTRACT: Final = Contract(NAME, decoder.decode, apply_governance, end_votes)
"""What a network runs under the name `governance`."""
