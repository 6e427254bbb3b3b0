"""What can happen to a thing after it is registered: publish, bind, rotate, revoke.

Publishing and revoking are signed by the transaction's issuer, who is the thing or its owner.
Rotating and binding carry the signatures that count, so anybody registered may issue them: a
small meter, whose edge node issues for it, and a wallet that has nothing but a new key.
"""

from typing import Annotated, Final

import msgspec

from access.identity.idot import (
    Bound,
    Idot,
    Keys,
    bound_key,
    idot,
    idot_key,
    signing_key,
    times_bound,
)
from tangle.accounts import NO_ADDRESS, Identity, identity, identity_key, network_hash
from tangle.address import Address, AddressField
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.hashing import digest, domain
from tangle.keys import SignatureField, is_signed
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import MAX_INTEGER, Counter, HashField

_IDOT: Final = domain("device.idot")
_BIND: Final = domain("device.bind")
_NEXT_KEY: Final = domain("device.next-key")


class Publish(msgspec.Struct, frozen=True, array_like=True, tag="publish"):
    """Say with which keys a registered thing acts. By its owner, or by itself if it has none."""

    thing: AddressField
    keys: Keys
    """The signing key is the registered one: others come by rotation."""

    proof: SignatureField
    """The signing key's, over the statement of these keys."""


class Rotate(msgspec.Struct, frozen=True, array_like=True, tag="rotate"):
    """Go on with the key that was committed to. By anybody: the proof decides."""

    thing: AddressField
    keys: Keys
    proof: SignatureField
    """The new signing key's."""


class Bind(msgspec.Struct, frozen=True, array_like=True, tag="bind"):
    """Give a device an owner, or another one. By anybody: the proofs decide."""

    device: AddressField
    owner: AddressField
    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
    """Which binding of the device it is, from 1: none counts twice."""

    owner_proof: SignatureField
    device_proof: SignatureField
    previous_proof: SignatureField | None
    """Of the owner until now, if there is another."""


class RevokeKeys(msgspec.Struct, frozen=True, array_like=True, tag="revoke"):
    """Let no signature of a thing count any more. By its owner, or by itself."""

    thing: AddressField


class KeyStatement(msgspec.Struct, frozen=True, array_like=True):
    """What a signing key signs of itself."""

    genesis_hash: HashField
    thing: AddressField
    keys: Keys
    rotations: Counter


class BindStatement(msgspec.Struct, frozen=True, array_like=True):
    """What owner, device and owner before sign."""

    genesis_hash: HashField
    device: AddressField
    owner: AddressField
    number: Counter


LifeCycleCall = Publish | Rotate | Bind | RevokeKeys


def key_message(statement: KeyStatement) -> bytes:
    """Return the bytes that a thing's signing key signs."""
    return _IDOT + encode(statement)


def bind_message(statement: BindStatement) -> bytes:
    """Return the bytes that owner and device sign."""
    return _BIND + encode(statement)


def next_key_hash(key: bytes) -> bytes:
    """Return the commitment to a signing key that is not shown yet."""
    return digest(_NEXT_KEY + key)


def apply_life_cycle(rows: RowReader, call: LifeCycleCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    match call:
        case Publish():
            return _publish(rows, call, context)
        case Rotate():
            return _rotate(rows, call)
        case Bind():
            return _bind(rows, call)
        case RevokeKeys():
            return _revoke(rows, call, context)


def _publish(rows: RowReader, call: Publish, context: Context) -> Changed | Reason:
    """Make the row; or `UNKNOWN_MEMBER`, `NOT_ALLOWED`, `EXISTS`, `OUT_OF_RANGE`, `BAD_PROOF`."""
    known = identity(rows, call.thing)
    if known is None:
        return Reason.UNKNOWN_MEMBER
    owner = call.thing if known.owner == NO_ADDRESS else known.owner
    if context.address != owner:
        return Reason.NOT_ALLOWED
    if idot(rows, call.thing) is not None:
        return Reason.EXISTS
    if not call.keys.not_before_ms < call.keys.not_after_ms:
        return Reason.OUT_OF_RANGE
    if call.keys.sign_key != known.key or not _is_own(rows, call, 0):
        return Reason.BAD_PROOF
    row = Idot(call.keys, 0, None, None)
    return Changed({idot_key(call.thing): encode(row)}, (_event("published", call.thing),))


def _rotate(rows: RowReader, call: Rotate) -> Changed | Reason:
    """Change the keys; or `NO_SUCH_OBJECT`, `REVOKED`, `OUT_OF_RANGE`, `BAD_PROOF`."""
    held = idot(rows, call.thing)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if held.revoked_at_ms is not None:
        return Reason.REVOKED
    if not call.keys.not_before_ms < call.keys.not_after_ms:
        return Reason.OUT_OF_RANGE
    rotations = held.rotations + 1
    is_committed = next_key_hash(call.keys.sign_key) == held.keys.next_key_hash
    if not is_committed or not _is_own(rows, call, rotations):
        return Reason.BAD_PROOF
    row = Idot(call.keys, rotations, held.keys.sign_key, None)
    return Changed({idot_key(call.thing): encode(row)}, (_event("rotated", call.thing),))


def _bind(rows: RowReader, call: Bind) -> Changed | Reason:
    """Change the owner; or `UNKNOWN_MEMBER`, `NOT_ALLOWED`, `OUT_OF_RANGE`, `BAD_PROOF`."""
    device, owner = identity(rows, call.device), identity(rows, call.owner)
    if device is None or owner is None:
        return Reason.UNKNOWN_MEMBER
    if device.role != "meter" or owner.role not in ("member", "voter"):
        return Reason.NOT_ALLOWED
    if call.number != times_bound(rows, call.device) + 1:
        return Reason.OUT_OF_RANGE
    statement = BindStatement(network_hash(rows), call.device, call.owner, call.number)
    message = bind_message(statement)
    signers = [(call.owner, call.owner_proof), (call.device, call.device_proof)]
    if device.owner not in (NO_ADDRESS, call.owner):
        signers.append((Address(device.owner), call.previous_proof or b""))
    if not all(_has_signed(rows, thing, message, proof) for thing, proof in signers):
        return Reason.BAD_PROOF
    bound = Identity(device.key, device.role, call.owner, device.edge)
    event = Event(
        "device.bound",
        (("device", call.device), ("owner", call.owner), ("previous_owner", device.owner)),
    )
    return Changed(
        {
            identity_key(call.device): encode(bound),
            bound_key(call.device): encode(Bound(call.number)),
        },
        (event,),
    )


def _revoke(rows: RowReader, call: RevokeKeys, context: Context) -> Changed | Reason:
    """Mark the row; or `NO_SUCH_OBJECT`, `NOT_ALLOWED`, `REVOKED`."""
    held, known = idot(rows, call.thing), identity(rows, call.thing)
    if held is None or known is None:
        return Reason.NO_SUCH_OBJECT
    if context.address not in (call.thing, known.owner):
        return Reason.NOT_ALLOWED
    if held.revoked_at_ms is not None:
        return Reason.REVOKED
    row = msgspec.structs.replace(held, revoked_at_ms=context.timestamp_ms)
    return Changed({idot_key(call.thing): encode(row)}, (_event("revoked", call.thing),))


def _is_own(rows: RowReader, call: Publish | Rotate, rotations: int) -> bool:
    statement = KeyStatement(network_hash(rows), call.thing, call.keys, rotations)
    return is_signed(call.keys.sign_key, key_message(statement), call.proof)


def _has_signed(rows: RowReader, thing: Address, message: bytes, proof: bytes) -> bool:
    key = signing_key(rows, thing)
    return key is not None and is_signed(key, message, proof)


def _event(what: str, thing: Address) -> Event:
    return Event(f"device.{what}", (("device", thing),))
