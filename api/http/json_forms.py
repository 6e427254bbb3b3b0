"""The records the HTTP API answers with: what its OpenAPI document is made of.

Bytes are lower-case hex, addresses bech32m, quantities integers with their unit in the name.
"""

from dataclasses import dataclass
from typing import Any, Literal

from api.http.problems import Problem
from api.http.service import CheckStatus
from tangle.outcomes import Reason, State
from tip_selection.outlook import WaitsFor


@dataclass(frozen=True, slots=True)
class HaltedJson:
    """Why confirmation stopped."""

    index: int
    milestone_id: str
    report: str


@dataclass(frozen=True, slots=True)
class JoiningJson:
    """A peer's snapshot on its way."""

    phase: Literal["asking", "fetching", "checking"]
    index: int
    """Milestone of the snapshot; 0 while peers are asked."""

    fetched_bytes: int
    size_bytes: int
    estimate_ms: int | None
    """Until all of it is here; `None` while there is none."""

    sources: int
    """Peers it is fetched from."""


@dataclass(frozen=True, slots=True)
class InfoJson:
    """One node at one moment."""

    network: str
    """First 8 bytes of the genesis hash, hex."""

    name: str
    """Of the network."""

    node: str
    """Public key of the node, hex."""

    alias: str
    role: str
    version: str
    work_per_byte: int
    confirmed_index: int
    confirmed_id: str
    confirmed_at_ms: int
    state_root: str
    milestones_behind: int
    catch_up_ms: int | None
    """Estimate for these, from the rate so far; `None` while there is none."""

    ledger_time_ms: int
    tips: int
    pending: int
    waiting: int
    transactions: int
    milestones: int
    halted: HaltedJson | None
    joining: JoiningJson | None


@dataclass(frozen=True, slots=True)
class TipsJson:
    """Two parents for a new transaction, ascending."""

    parents: tuple[str, str]
    milestone_index: int
    more_bits: int
    """Work that this door asks of the named issuer now, beyond the network's; 0 for none."""


@dataclass(frozen=True, slots=True)
class CheckJson:
    """One named health check."""

    name: str
    status: CheckStatus
    detail: str


@dataclass(frozen=True, slots=True)
class HealthJson:
    """Whether the node is ready, and why."""

    status: CheckStatus
    """The worst of the checks."""

    checks: list[CheckJson]


@dataclass(frozen=True, slots=True)
class LiveJson:
    """The loop turns."""

    status: Literal["pass"]


@dataclass(frozen=True, slots=True)
class DataJson:
    """Bytes that mean nothing to the ledger."""

    type: Literal["data"]
    label: str
    data: str
    """Hex."""


@dataclass(frozen=True, slots=True)
class ReadingsJson:
    """A commitment to consecutive readings of one meter."""

    type: Literal["readings"]
    meter: str
    first_sequence: int
    last_sequence: int
    """Inclusive."""

    root: str


@dataclass(frozen=True, slots=True)
class OperationJson:
    """A call of one contract."""

    type: Literal["operation"]
    contract: str
    call: str
    """Canonical bytes, hex."""

    fields: dict[str, Any] | None
    """The call by name; its bytes are hex. `None` if this node does not know the contract."""


@dataclass(frozen=True, slots=True)
class MilestonePayloadJson:
    """What fixes an order."""

    type: Literal["milestone"]
    index: int
    timestamp_ms: int
    previous: str
    inclusion_root: str
    applied_root: str
    state_root: str


PayloadJson = DataJson | ReadingsJson | OperationJson | MilestonePayloadJson


@dataclass(frozen=True, slots=True)
class EventJson:
    """What a contract reported of an applied operation."""

    name: str
    fields: dict[str, str | int]
    """Amounts in base units, with the unit in the name; addresses in text."""


@dataclass(frozen=True, slots=True)
class TransactionJson:
    """One transaction and where it stands on this node."""

    id: str
    state: State
    reason: Reason | None
    parents: list[str]
    children: list[str]
    issuer: str
    issuer_address: str | None
    """`None` for a milestone, which has no single issuer."""

    sequence: int
    issued_at_ms: int
    payload: PayloadJson
    milestone_index: int | None
    """Milestone that references it."""

    waits_for: WaitsFor | None
    """`None` for what is final."""

    missing: list[str]
    """Parents that this node does not have."""

    expected_index: int | None
    """Milestone that may be expected to reference it."""

    expected_at_ms: int | None
    """Ledger time of that milestone, if the coordinator keeps its beat."""

    confidence: int | None
    """Percent; `None` unless asked for and known."""

    attached_at_ms: int | None
    """Wall clock of this node; `None` while it is not attached."""

    cumulative_weight: int | None
    bytes: str
    """Canonical bytes with witness, hex."""
    events: list[EventJson]
    """What the contract reported, once applied."""


@dataclass(frozen=True, slots=True)
class MilestoneJson:
    """One applied milestone and what it did."""

    id: str
    index: int
    timestamp_ms: int
    previous: str
    inclusion_root: str
    applied_root: str
    state_root: str
    parents: list[str]
    signers: list[str]
    """Coordinator keys, hex."""

    attached_at_ms: int
    referenced: int
    applied: int
    no_value: int
    ignored: int
    ended: list[EventJson]
    """What happened after the last operation: what ran out, what holds from now on."""

    bytes: str


@dataclass(frozen=True, slots=True)
class IdentityJson:
    """What a key is registered as."""

    key: str
    role: str
    owner: str | None
    edge: str | None


@dataclass(frozen=True, slots=True)
class AddressJson:
    """What the ledger holds for one address."""

    address: str
    ent_uent: int
    eeuro_ueur: int
    next_sequence: int
    identity: IdentityJson | None


@dataclass(frozen=True, slots=True)
class ProofJson:
    """A proof that anyone checks offline; the same JSON is a proof file."""

    about: dict[str, Any]
    """For people: what it proves. Verification reads `proof` alone."""

    proof: str
    """Canonical bytes, hex."""


@dataclass(frozen=True, slots=True)
class PageJson:
    """A page of what a home node has of a stretch of time."""

    page: str
    """Canonical bytes, hex."""


@dataclass(frozen=True, slots=True)
class ErasedJson:
    """What became of a request to erase readings."""

    erased: int
    """Readings that are gone, with their salts."""


@dataclass(frozen=True, slots=True)
class JournalledJson:
    """What this edge node has journalled of a meter."""

    count: int
    through: int | None
    import_wh: int
    export_wh: int
    lost: int
    """Between the first and the newest: this node started from an older backup."""
    forgotten: int


@dataclass(frozen=True, slots=True)
class RelayJson:
    """What this edge node knows of a meter's relay. Powers in W; 0 for nothing."""

    asked_w: int | None
    """What the standing served leaves it; `None` for all."""

    since_ms: int | None
    served_index: int
    said_w: int | None
    """What the meter says that it leaves."""

    said_index: int
    disobeys: bool
    excess_wh: int
    disobeyed_at_ms: int | None


@dataclass(frozen=True, slots=True)
class DeviceJson:
    """One meter, as ledger and journal know it."""

    address: str
    owner: str | None
    edge: str | None
    registered: bool
    confirmed: int
    twice: int
    ranges: list[tuple[int, int]]
    journalled: JournalledJson | None
    audited: int | None
    pruned: int
    relay: RelayJson | None


@dataclass(frozen=True, slots=True)
class DevicesJson:
    """All meters, ascending by address bytes."""

    devices: list[DeviceJson]


@dataclass(frozen=True, slots=True)
class PeerJson:
    """Another node, as this one sees it."""

    peer: str
    alias: str | None
    connected: bool
    last_heard_ms: int | None
    confirmed_index: int | None
    standing: int
    banned_until_ms: int | None


@dataclass(frozen=True, slots=True)
class PeersJson:
    """The configured peers."""

    peers: list[PeerJson]


@dataclass(frozen=True, slots=True)
class SnapshotJson:
    """One snapshot on this node's disk."""

    name: str
    kind: Literal["full", "delta"]
    index: int
    base_index: int
    """Of the snapshot a delta goes on from; 0 for a full one."""

    milestone_id: str
    timestamp_ms: int
    state_root: str
    size_bytes: int
    hash: str
    """BLAKE2b-256 of the file."""


@dataclass(frozen=True, slots=True)
class SnapshotsJson:
    """All of them, the newest first."""

    snapshots: list[SnapshotJson]


@dataclass(frozen=True, slots=True)
class AcceptedJson:
    """A posted transaction that is durable now."""

    id: str
    state: State


@dataclass(frozen=True, slots=True)
class RefusedJson:
    """A posted transaction that was not taken."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class ResultsJson:
    """One result for each posted transaction, in their order."""

    results: list[AcceptedJson | RefusedJson]


@dataclass(frozen=True, slots=True)
class RefusedAllJson:
    """Nothing was taken: the first problem, and the result of each transaction."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    results: list[RefusedJson]


@dataclass(frozen=True, slots=True)
class QueryJson:
    """Answers to named questions, all of one state of the ledger."""

    index: int
    """Of the last applied milestone."""

    answers: dict[str, str | list[str] | list[list[str]]]
    """By key: a quantity in plain units, a name, or a list."""
