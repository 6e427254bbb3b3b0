"""The `device` contract: who may issue in a registered network, and with which keys things act.

New keys enter by a sponsor (an edge node or a voter) that is registered already, with a proof
that the new key exists and agrees: nobody can register a key they do not hold.
"""

from typing import Annotated, Final

import msgspec

from access.identity.life_cycle import LifeCycleCall, apply_life_cycle
from tangle.accounts import NO_ADDRESS, Identity, identity, identity_key, network_hash
from tangle.address import Address, AddressField, address_of
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.hashing import domain
from tangle.keys import KeyField, PublicKey, SignatureField, SigningKey, is_signed
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import MAX_CALL_SIZE, HashField, Operation

NAME: Final = "device"
SPONSORS: Final = ("edge", "voter")
_DOMAIN: Final = domain("device.register")

DeviceRole = Annotated[str, msgspec.Meta(pattern=r"^(member|meter)\Z")]
"""What may enter by registration. Edge nodes and voters come by genesis, later by vote."""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What the new key signs: itself, and what it is to be."""

    genesis_hash: HashField
    """So that a claim for one network proves nothing in another."""

    key: KeyField
    role: DeviceRole
    owner: AddressField
    """`NO_ADDRESS` if it owns itself."""

    edge: AddressField
    """Address of the edge node that may batch a meter's readings; else `NO_ADDRESS`."""


class Register(msgspec.Struct, frozen=True, array_like=True, tag="register"):
    """Enter a key into the register. Issued by its sponsor."""

    key: KeyField
    role: DeviceRole
    owner: AddressField
    edge: AddressField
    proof: SignatureField
    """The new key's signature over its claim: proof of possession."""


DeviceCall = Register | LifeCycleCall

_decoder: Final[Decoder[DeviceCall]] = Decoder(DeviceCall, "device call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy


def claim_message(claim: Claim) -> bytes:
    """Return the bytes that a proof of possession signs."""
    return _DOMAIN + encode(claim)


def claim_registration(claim: Claim, key: SigningKey) -> Register:
    """Return the call that registers `key`, proof included, for a sponsor to issue."""
    assert claim.key == key.public, "a key claims for itself only"
    proof = key.sign(claim_message(claim))
    return Register(claim.key, claim.role, claim.owner, claim.edge, proof)


def register_operation(call: DeviceCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def apply_device(rows: RowReader, call: DeviceCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    if isinstance(call, Register):
        return _register(rows, call, context)
    return apply_life_cycle(rows, call, context)


def _register(rows: RowReader, call: Register, context: Context) -> Changed | Reason:
    """Enter a key into the register.

    Returns:
        The new identity row; or `NOT_ALLOWED` (the issuer may not sponsor, or a meter's edge
        node is not one), `DEVICE_KNOWN` (registered already), `BAD_PROOF`.
    """
    sponsor = identity(rows, context.address)
    if sponsor is None or sponsor.role not in SPONSORS:
        return Reason.NOT_ALLOWED
    if not _has_fitting_edge(rows, call):
        return Reason.NOT_ALLOWED
    address = address_of(call.key)
    if identity(rows, address) is not None:
        return Reason.DEVICE_KNOWN
    claim = Claim(network_hash(rows), call.key, call.role, call.owner, call.edge)
    if not is_signed(call.key, claim_message(claim), call.proof):
        return Reason.BAD_PROOF
    row = Identity(PublicKey(call.key), call.role, call.owner, call.edge)
    event = Event(
        "device.registered",
        (
            ("device", address),
            ("role", call.role),
            ("sponsor", context.address),
        ),
    )
    return Changed({identity_key(address): encode(row)}, (event,))


def _has_fitting_edge(rows: RowReader, call: Register) -> bool:
    """A meter names a registered edge node, anything else names none."""
    if call.role != "meter":
        return call.edge == NO_ADDRESS
    edge = identity(rows, Address(call.edge))
    return edge is not None and edge.role == "edge"


CONTRACT: Final = Contract(NAME, _decoder.decode, apply_device)
