"""Turns what a node knows into the records of `json_forms`."""

from dataclasses import asdict
from typing import assert_never

from api.http.json_forms import (
    AddressJson,
    CheckJson,
    DataJson,
    DeviceJson,
    EventJson,
    HaltedJson,
    HealthJson,
    IdentityJson,
    InfoJson,
    JoiningJson,
    JournalledJson,
    MilestoneJson,
    MilestonePayloadJson,
    OperationJson,
    PayloadJson,
    PeerJson,
    ReadingsJson,
    RelayJson,
    SnapshotJson,
    TransactionJson,
)
from api.http.service import (
    AddressView,
    Check,
    CheckStatus,
    DeviceView,
    JournalledReadings,
    MilestoneView,
    NodeInfo,
    PeerView,
    TransactionView,
)
from api.plain import plain_call
from edge.joining.snapshots import SnapshotFile
from tangle.accounts import NO_ADDRESS, Identity
from tangle.address import Address, address_of, encode_address
from tangle.contracts import Contracts
from tangle.effects import Halted
from tangle.outcomes import Event
from tangle.transaction import (
    MILESTONE_ISSUER,
    Data,
    Milestone,
    MilestoneWitness,
    Operation,
    Payload,
    ReadingBatch,
    decode,
)


def info_json(info: NodeInfo) -> InfoJson:
    """Return the JSON form of a node's information."""
    return InfoJson(
        network=info.network.hex(),
        name=info.name,
        node=info.node.hex(),
        alias=info.alias,
        role=info.role,
        version=info.version,
        work_per_byte=info.work_per_byte,
        confirmed_index=info.confirmed_index,
        confirmed_id=info.confirmed_id.hex(),
        confirmed_at_ms=info.confirmed_at_ms,
        state_root=info.state_root.hex(),
        milestones_behind=info.milestones_behind,
        catch_up_ms=info.catch_up_ms,
        ledger_time_ms=info.ledger_time_ms,
        tips=info.tips,
        pending=info.pending,
        waiting=info.waiting,
        transactions=info.transactions,
        milestones=info.milestones,
        halted=None if info.halted is None else _halted_json(info.halted),
        joining=None if info.joining is None else JoiningJson(**asdict(info.joining)),
    )


def health_json(checks: tuple[Check, ...]) -> HealthJson:
    """Return the JSON form of the checks, with the worst status."""
    found = {check.status for check in checks}
    worst = next(one for one in reversed(CheckStatus) if one in found | {CheckStatus.PASS})
    return HealthJson(worst, [CheckJson(one.name, one.status, one.detail) for one in checks])


def transaction_json(view: TransactionView, contracts: Contracts) -> TransactionJson:
    """Return the JSON form of a transaction, with its payload decoded."""
    transaction = decode(view.data).transaction
    is_milestone = transaction.issuer == MILESTONE_ISSUER
    return TransactionJson(
        id=view.tx_id.hex(),
        state=view.state,
        reason=view.reason,
        parents=[parent.hex() for parent in transaction.parents],
        children=[child.hex() for child in view.children],
        issuer=transaction.issuer.hex(),
        issuer_address=None if is_milestone else encode_address(address_of(transaction.issuer)),
        sequence=transaction.sequence,
        issued_at_ms=transaction.issued_at_ms,
        payload=payload_json(transaction.payload, contracts),
        milestone_index=view.milestone_index,
        waits_for=view.waits_for,
        missing=[parent.hex() for parent in view.missing],
        expected_index=view.expected_index,
        expected_at_ms=view.expected_at_ms,
        confidence=view.confidence,
        attached_at_ms=view.attached_at_ms,
        cumulative_weight=view.cumulative_weight,
        bytes=view.data.hex(),
        events=[_event_json(event) for event in view.events],
    )


def _event_json(event: Event) -> EventJson:
    fields = {
        name: encode_address(Address(value)) if isinstance(value, bytes) else value
        for name, value in event.fields
    }
    return EventJson(event.name, fields)


def payload_json(payload: Payload, contracts: Contracts) -> PayloadJson:
    """Return the JSON form of a payload; an operation's call is decoded by its contract."""
    match payload:
        case Data(label, data):
            return DataJson("data", label, data.hex())
        case ReadingBatch(meter, first, last, root):
            address = encode_address(Address(meter))
            return ReadingsJson("readings", address, first, last, root.hex())
        case Operation(name, call):
            contract = contracts.get(name)
            fields = None if contract is None else plain_call(contract.decode(call))
            return OperationJson("operation", name, call.hex(), fields)
        case Milestone():
            return _milestone_payload_json(payload)
        case _:
            assert_never(payload)


def milestone_json(view: MilestoneView) -> MilestoneJson:
    """Return the JSON form of an applied milestone."""
    signed = decode(view.data)
    payload, witness = signed.transaction.payload, signed.witness
    assert isinstance(payload, Milestone), view.tx_id.hex()
    assert isinstance(witness, MilestoneWitness), view.tx_id.hex()
    return MilestoneJson(
        id=view.tx_id.hex(),
        index=payload.index,
        timestamp_ms=payload.timestamp_ms,
        previous=payload.previous.hex(),
        inclusion_root=payload.inclusion_root.hex(),
        applied_root=payload.applied_root.hex(),
        state_root=payload.state_root.hex(),
        parents=[parent.hex() for parent in signed.transaction.parents],
        signers=[one.key.hex() for one in witness.signatures],
        attached_at_ms=view.attached_at_ms,
        referenced=view.applied + view.no_value + view.ignored,
        applied=view.applied,
        no_value=view.no_value,
        ignored=view.ignored,
        ended=[_event_json(event) for event in view.ended],
        bytes=view.data.hex(),
    )


def address_json(address: Address, view: AddressView) -> AddressJson:
    """Return the JSON form of what an address holds."""
    return AddressJson(
        encode_address(address),
        view.ent_uent,
        view.eeuro_ueur,
        view.next_sequence,
        None if view.identity is None else _identity_json(view.identity),
    )


def device_json(view: DeviceView) -> DeviceJson:
    """Return the JSON form of a meter."""
    return DeviceJson(
        address=encode_address(view.address),
        owner=None if view.owner is None else encode_address(view.owner),
        edge=None if view.edge is None else encode_address(view.edge),
        registered=view.registered,
        confirmed=view.confirmed,
        twice=view.twice,
        ranges=list(view.ranges),
        journalled=None if view.journalled is None else _journalled_json(view.journalled),
        audited=view.audited,
        pruned=view.pruned,
        relay=None if view.relay is None else RelayJson(**asdict(view.relay)),
    )


def peer_json(view: PeerView) -> PeerJson:
    """Return the JSON form of a peer."""
    return PeerJson(
        view.peer.hex(),
        view.alias,
        view.is_connected,
        view.last_heard_ms,
        view.confirmed_index,
        view.standing,
        view.banned_until_ms,
    )


def snapshot_json(file: SnapshotFile) -> SnapshotJson:
    """Return the JSON form of a snapshot on disk."""
    header = file.header
    return SnapshotJson(
        name=file.path.name,
        kind=header.kind,
        index=header.index,
        base_index=header.base_index,
        milestone_id=header.milestone_id.hex(),
        timestamp_ms=header.timestamp_ms,
        state_root=header.state_root.hex(),
        size_bytes=file.size_bytes,
        hash=file.file_hash.hex(),
    )


def _halted_json(halted: Halted) -> HaltedJson:
    return HaltedJson(halted.index, halted.milestone_id.hex(), halted.report)


def _identity_json(known: Identity) -> IdentityJson:
    owner, edge = _address_text(known.owner), _address_text(known.edge)
    return IdentityJson(known.key.hex(), known.role, owner, edge)


def _journalled_json(kept: JournalledReadings) -> JournalledJson:
    return JournalledJson(
        kept.count, kept.through, kept.import_wh, kept.export_wh, kept.lost, kept.forgotten
    )


def _milestone_payload_json(payload: Milestone) -> MilestonePayloadJson:
    return MilestonePayloadJson(
        "milestone",
        payload.index,
        payload.timestamp_ms,
        payload.previous.hex(),
        payload.inclusion_root.hex(),
        payload.applied_root.hex(),
        payload.state_root.hex(),
    )


def _address_text(address: bytes) -> str | None:
    return None if address == NO_ADDRESS else encode_address(Address(address))
