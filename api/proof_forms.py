"""What a proof proves, in words and in JSON: the summary of a file, the answer of a command."""

from typing import Any, assert_never

from access.rows import decode_access_row
from api.plain import plain, plain_call
from api.row_keys import row_key_text
from devices.reading_proof import ProvenReading
from energy.rows import decode_energy_row
from tangle.accounts import NO_ADDRESS, Identity, decode_row
from tangle.address import Address, address_of, encode_address
from tangle.anchors import ProvenMilestone
from tangle.contracts import Contracts
from tangle.errors import MalformedBytesError
from tangle.outcomes import State
from tangle.proven import Proven, ProvenAddress, ProvenRow, ProvenTransaction
from tangle.transaction import MILESTONE_ISSUER, Operation, Payload

REFERENCED = "referenced"
"""Outcome of a transaction of which no more is proven."""


def about(proven: Proven, network: bytes, contracts: Contracts) -> dict[str, Any]:
    """Return what is proven, in JSON.

    Args:
        proven: What `verify_proof` returned.
        network: First 8 bytes of the genesis hash.
        contracts: By which calls are shown by name.
    """
    match proven:
        case ProvenTransaction():
            kind, fields = "transaction", _transaction(proven, contracts)
        case ProvenRow():
            kind, fields = "row", _row(proven)
        case ProvenAddress():
            kind, fields = "address", _address(proven)
        case _:
            assert_never(proven)
    milestone = _milestone(proven.milestone)
    return {"kind": kind, "network": network.hex(), "milestone": milestone, **fields}


def about_reading(proven: ProvenReading, network: bytes) -> dict[str, Any]:
    """Return what the proof of a reading proves, in JSON."""
    reading = proven.reading
    return {
        "kind": "reading",
        "network": network.hex(),
        "milestone": _milestone(proven.milestone),
        "transaction": proven.tx_id.hex(),
        "meter": encode_address(Address(reading.device)),
        "sequence": reading.sequence,
        "interval_start_ms": reading.interval_start_ms,
        "interval_end_ms": reading.interval_end_ms,
        "import_wh": reading.import_wh,
        "export_wh": reading.export_wh,
        "quality": reading.quality,
    }


def _milestone(milestone: ProvenMilestone) -> dict[str, Any]:
    return {
        "index": milestone.index,
        "id": milestone.milestone_id.hex(),
        "timestamp_ms": milestone.timestamp_ms,
        "rotations": milestone.rotations,
    }


def _transaction(proven: ProvenTransaction, contracts: Contracts) -> dict[str, Any]:
    transaction = proven.transaction
    is_milestone = transaction.issuer == MILESTONE_ISSUER
    return {
        "id": proven.tx_id.hex(),
        "outcome": str(State.APPLIED) if proven.is_applied else REFERENCED,
        "issuer": transaction.issuer.hex(),
        "issuer_address": None if is_milestone else encode_address(address_of(transaction.issuer)),
        "sequence": transaction.sequence,
        "issued_at_ms": transaction.issued_at_ms,
        "payload": _payload(transaction.payload, contracts),
    }


def _payload(payload: Payload, contracts: Contracts) -> dict[str, Any]:
    names = payload.__struct_fields__
    fields = {name: plain(getattr(payload, name)) for name in names}
    shown = {"type": payload.__struct_config__.tag, **fields}
    if isinstance(payload, Operation):
        shown["fields"] = _call(payload, contracts)
    return shown


def _call(operation: Operation, contracts: Contracts) -> dict[str, Any] | None:
    contract = contracts.get(operation.contract)
    if contract is None:
        return None
    try:
        return plain_call(contract.decode(operation.call))
    except MalformedBytesError:  # of a contract that this version knows otherwise
        return None


def _row(proven: ProvenRow) -> dict[str, Any]:
    return {
        "key": proven.key.hex(),
        "name": row_key_text(proven.key),
        "value": None if proven.value is None else proven.value.hex(),
        "fields": None if proven.value is None else _row_fields(proven.key, proven.value),
    }


def _row_fields(key: bytes, value: bytes) -> dict[str, Any] | None:
    try:
        row = (
            decode_row(key, value) or decode_energy_row(key, value) or decode_access_row(key, value)
        )
    except MalformedBytesError:  # of a version that writes this row otherwise
        return None
    return None if row is None else plain_call(row)


def _address(proven: ProvenAddress) -> dict[str, Any]:
    return {
        "address": encode_address(proven.address),
        "ent_uent": proven.ent_uent,
        "eeuro_ueur": proven.eeuro_ueur,
        "next_sequence": proven.next_sequence,
        "identity": None if proven.identity is None else _identity(proven.identity),
    }


def _identity(known: Identity) -> dict[str, Any]:
    return {
        "key": known.key.hex(),
        "role": known.role,
        "owner": _address_text(known.owner),
        "edge": _address_text(known.edge),
    }


def _address_text(address: bytes) -> str | None:
    return None if address == NO_ADDRESS else encode_address(Address(address))
