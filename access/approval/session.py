"""What an approver computes for itself: the proof of a session from its own evidence.

Source: the approver steps of ACCESS §2.4: two sign a session, an edge node posts its header, each
approver recomputes the proof, and only equal proofs count together.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from tangle.address import AddressField
from tangle.codec import encode
from tangle.hashing import digest, domain
from tangle.keys import SignatureField, is_signed
from tangle.merkle import merkle_root
from tangle.transaction import Counter, HashField, Label

NO_SESSION: Final = bytes(32)
"""Stands for the session before the first one of a pair."""

_INIT: Final = domain("access.session")
_PROOF: Final = domain("access.session-proof")


class Agreement(msgspec.Struct, frozen=True, array_like=True):
    """What vehicle and station sign before they begin (INIT)."""

    genesis_hash: HashField
    vehicle: AddressField
    station: AddressField
    activity: Label
    """E.g. `charge`."""

    price_ueur: Counter
    """Per kWh."""

    previous: HashField
    """Proof of the session of these two before this one."""

    nonce: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class SignedAgreement(msgspec.Struct, frozen=True, array_like=True):
    """An agreement under both signatures."""

    agreement: Agreement
    vehicle_signature: SignatureField
    station_signature: SignatureField


class MeterRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the station's meter showed at one moment."""

    at_ms: Counter
    register_wh: Counter


class _Facts(msgspec.Struct, frozen=True, array_like=True):
    activity: Label
    vehicle: AddressField
    station: AddressField
    session: HashField
    root: HashField
    meter_start_wh: Counter
    meter_end_wh: Counter
    price_ueur: Counter
    previous: HashField


def agreement_message(agreement: Agreement) -> bytes:
    """Return the bytes that both sign."""
    return _INIT + encode(agreement)


def session_id(agreement: Agreement) -> bytes:
    """Return the id of a session."""
    return digest(agreement_message(agreement))


def is_agreed(signed: SignedAgreement, vehicle_key: bytes, station_key: bytes) -> bool:
    """Return whether both have signed with these keys, which the ledger names for them."""
    message = agreement_message(signed.agreement)
    return is_signed(vehicle_key, message, signed.vehicle_signature) and is_signed(
        station_key, message, signed.station_signature
    )


def records_root(records: Sequence[MeterRecord]) -> bytes:
    """Return the Merkle root over what a meter showed, in order."""
    return merkle_root([encode(one) for one in records])


def session_proof(agreement: Agreement, records: Sequence[MeterRecord]) -> bytes:
    """Return what honest approvers of one session all compute.

    Args:
        agreement: As signed.
        records: At least one, as the approver has them from the meter itself.
    """
    facts = _Facts(
        agreement.activity,
        agreement.vehicle,
        agreement.station,
        session_id(agreement),
        records_root(records),
        records[0].register_wh,
        records[-1].register_wh,
        agreement.price_ueur,
        agreement.previous,
    )
    return digest(_PROOF + encode(facts))
