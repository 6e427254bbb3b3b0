"""What a node answers over HTTP, as the commands read it. More fields may come; these stay."""

from typing import Annotated

import msgspec

Amount = Annotated[int, msgspec.Meta(ge=0)]


class InfoAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/info`: who the node is, and how far it has confirmed."""

    network: str
    name: str
    node: str
    """Public key of the node, hexadecimal."""

    alias: str
    role: str
    confirmed_index: Amount
    confirmed_id: str
    state_root: str
    transactions: Amount
    milestones: Amount
    ledger_time_ms: Amount = 0
    confirmed_at_ms: Amount = 0
    """Ledger time of the last applied milestone."""

    tips: Amount = 0
    pending: Amount = 0
    version: str = ""
    work_per_byte: Amount = 0
    milestones_behind: Amount = 0
    catch_up_ms: Amount | None = None
    """Estimate for these; nothing while the rate is not known."""

    halted: bool | str | dict[str, object] | None = None
    """Why it stopped confirming; nothing or false while it confirms."""


class TipsAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/tips`: two parents for a new transaction, hexadecimal."""

    parents: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=2)]
    more_bits: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Work asked of the issuer beyond the network's: the wallet does it, not the node."""


class EventAnswer(msgspec.Struct, frozen=True):
    """What a contract reported of an applied operation."""

    name: str
    fields: dict[str, str | int]


class TransactionAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/transactions/{id}`: where a transaction stands on this node."""

    id: str
    state: str
    reason: str | None = None
    waits_for: str | None = "a milestone"
    """Of one that is not final: approval, milestone, backlog, parents …"""

    milestone_index: int | None = None
    """The milestone that references it."""

    events: tuple[EventAnswer, ...] = ()


class RefusalAnswer(msgspec.Struct, frozen=True):
    """problem+json (RFC 9457), as far as people are told."""

    title: str = ""
    detail: str = ""
    code: str = ""
    retry_after_s: int = 0
    """Of `MORE_WORK_NEEDED`: after which the work that was there is enough."""


class SubmittedAnswer(msgspec.Struct, frozen=True):
    """One result of `POST /api/v1/transactions`: an id, or the reason why not."""

    id: str = ""
    state: str = ""
    problem: RefusalAnswer | None = None


class ResultsAnswer(msgspec.Struct, frozen=True):
    """`POST /api/v1/transactions`: one result for each transaction, in order."""

    results: tuple[SubmittedAnswer, ...] = ()
    """None where the request was refused as a whole."""


class MilestoneAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/milestones/{index}`: an applied milestone."""

    id: str
    index: Amount
    bytes: str
    """Canonical, hex."""


class AddressAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/addresses/{address}`: what an address holds."""

    address: str
    ent_uent: Amount
    eeuro_ueur: Amount
    next_sequence: Amount
    identity: dict[str, object] | None = None


class ProofAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/proofs/…`: the content of a proof file."""

    proof: str
    """Canonical bytes, hex."""

    about: dict[str, object]
    """For people; nothing reads it."""


class PageAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/spans/…`."""

    page: str
    """Canonical bytes, hex."""


class ErasedAnswer(msgspec.Struct, frozen=True):
    """`DELETE /api/v1/readings/…`."""

    erased: Amount


class JournalledAnswer(msgspec.Struct, frozen=True):
    """What the home edge has journalled of one meter."""

    count: Amount
    through: int | None
    """Highest sequence up to which none is missing; `None` before the first."""

    import_wh: Amount
    export_wh: Amount
    forgotten: Amount = 0
    """Older ones that were there and have left, as `history.readings_hours` says."""


class DeviceAnswer(msgspec.Struct, frozen=True):
    """One of `GET /api/v1/devices`: a registered device, and what is confirmed of it."""

    address: str
    edge: str | None
    confirmed: Amount
    """Readings in applied batches."""

    twice: Amount
    """Readings that an applied batch holds which another applied batch holds too."""

    ranges: tuple[tuple[Amount, Amount], ...]
    """Sequences in applied batches, both ends inclusive, ascending."""

    owner: str | None = None
    registered: bool = True
    journalled: JournalledAnswer | None = None
    """At the home edge alone."""

    audited: Amount | None = None
    """Readings whose commitment the home edge computed anew and found in an applied batch."""

    pruned: Amount = 0
    """Readings whose transactions had left before the node started; the ledger's rows have them."""


class DevicesAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/devices`."""

    devices: tuple[DeviceAnswer, ...]


class QueryAnswer(msgspec.Struct, frozen=True):
    """Answers to named questions."""

    index: int
    answers: dict[str, str | list[str | list[str]]]
