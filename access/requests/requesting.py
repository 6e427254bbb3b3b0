"""Requests on the ledger: made before anything is released, and activated by k receipts."""

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from access.codes import Code
from access.identity.idot import KemKeyField, signing_key
from access.requests.receipt import SignedReceipt, receipt_message
from access.requests.records import (
    ChunkNumbers,
    NonceField,
    Request,
    Uses,
    grant,
    request,
    request_key,
    uses,
    uses_key,
)
from access.streams.stream import chunk
from access.threshold.feldman import MAX_THRESHOLD
from access.vaults.vault import Vault, vault
from tangle.accounts import identity, network_hash
from tangle.address import Address, AddressField
from tangle.codec import encode
from tangle.cohorts import cohort
from tangle.contracts import Changed, Context
from tangle.hashing import digest, domain
from tangle.keys import SignatureField, is_signed
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField

MAX_SERVED: Final = 128
"""Requests that one operation of a service node reports."""

_REQUEST: Final = domain("access.request")


class RequestBody(msgspec.Struct, frozen=True, array_like=True):
    """What a requester signs."""

    genesis_hash: HashField
    grant: HashField
    requester: AddressField
    stream: HashField
    chunks: ChunkNumbers
    evidence: HashField
    kem_key: KemKeyField
    nonce: NonceField
    issued_at_ms: Counter
    """The requester's clock: a claim that counts nowhere."""

    ledger_index: Counter
    """Of the last milestone the requester knew of."""

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.chunks)):
            raise ValueError("chunk numbers must be distinct and in ascending order")


class MakeRequest(msgspec.Struct, frozen=True, array_like=True, tag="request"):
    """Ask to read, in everybody's sight. By anybody: the requester's signature decides."""

    body: RequestBody
    signature: SignatureField


class Activate(msgspec.Struct, frozen=True, array_like=True, tag="activate"):
    """Show that k nodes allowed a request. By anybody: the receipts decide."""

    request: HashField
    receipts: Annotated[
        tuple[SignedReceipt, ...], msgspec.Meta(min_length=1, max_length=MAX_THRESHOLD)
    ]


class Served(msgspec.Struct, frozen=True, array_like=True, tag="served"):
    """Say what was handed out. By a service node."""

    requests: Annotated[tuple[HashField, ...], msgspec.Meta(min_length=1, max_length=MAX_SERVED)]


RequestCall = MakeRequest | Activate | Served


def request_message(body: RequestBody) -> bytes:
    """Return the bytes that a requester signs."""
    return _REQUEST + encode(body)


def request_id(body: RequestBody) -> bytes:
    """Return the id of a request."""
    return digest(request_message(body))


def apply_request(rows: RowReader, call: RequestCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    match call:
        case MakeRequest():
            return _request(rows, call, context)
        case Activate():
            return _activate(rows, call, context)
        case Served():
            return _served(rows, call, context)


def _request(rows: RowReader, call: MakeRequest, context: Context) -> Changed | Reason:
    """Make the row and count the use; or why not.

    `BAD_PROOF` (signature, or another network), `EXISTS`, `NO_SUCH_OBJECT` (grant or chunk),
    `REVOKED`, `EXPIRED`, `WRONG_VAULT` (a chunk that the grant's vault does not open).
    """
    body = call.body
    signer = signing_key(rows, Address(body.requester))
    if signer is None or body.genesis_hash != network_hash(rows):
        return Reason.BAD_PROOF
    if not is_signed(signer, request_message(body), call.signature):
        return Reason.BAD_PROOF
    identifier = request_id(body)
    if request(rows, identifier) is not None:
        return Reason.EXISTS
    refusal = _unrequestable(rows, body, context.timestamp_ms)
    if refusal is not None:
        return refusal
    requester, now_ms = Address(body.requester), context.timestamp_ms
    before = uses(rows, body.grant, requester, now_ms)
    after = Uses(
        before.requests + 1, before.chunks + len(body.chunks), before.hour, before.in_hour + 1
    )
    row = Request(
        body.grant,
        body.requester,
        body.stream,
        body.chunks,
        body.evidence,
        body.kem_key,
        body.nonce,
        now_ms,
        before,
        None,
    )
    fields = (
        ("request", identifier.hex()),
        ("grant", body.grant.hex()),
        ("requester", body.requester),
        ("stream", body.stream.hex()),
        ("chunks", len(body.chunks)),
    )
    return Changed(
        {request_key(identifier): encode(row), uses_key(body.grant, requester): encode(after)},
        (Event("access.requested", fields),),
    )


def _unrequestable(rows: RowReader, body: RequestBody, now_ms: int) -> Reason | None:
    held = grant(rows, body.grant)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if held.revocation is not None:
        return Reason.REVOKED
    if now_ms >= held.not_after_ms:
        return Reason.EXPIRED
    for number in body.chunks:
        one = chunk(rows, body.stream, number)
        if one is None:
            return Reason.NO_SUCH_OBJECT
        if one.vault != held.vault:
            return Reason.WRONG_VAULT
    return None


def _activate(rows: RowReader, call: Activate, context: Context) -> Changed | Reason:
    """Mark the row; or `NO_SUCH_OBJECT`, `EXISTS`, `REVOKED`, `EXPIRED`, `BELOW_THRESHOLD`."""
    asked = request(rows, call.request)
    if asked is None:
        return Reason.NO_SUCH_OBJECT
    if asked.activated_at_ms is not None:
        return Reason.EXISTS
    held = grant(rows, asked.grant)
    of_vault = None if held is None else vault(rows, held.vault)
    assert held is not None, "a request names a grant, and grants are never deleted"
    assert of_vault is not None, "a grant names a vault, and vaults are never deleted"
    if held.revocation is not None:
        return Reason.REVOKED
    if context.timestamp_ms >= held.not_after_ms:
        return Reason.EXPIRED
    nodes = _allowing(rows, call, of_vault, held.commitment)
    if len(nodes) < held.k:
        return Reason.BELOW_THRESHOLD
    after = msgspec.structs.replace(asked, activated_at_ms=context.timestamp_ms)
    fields = (
        ("request", call.request.hex()),
        ("requester", asked.requester),
        ("receipts", len(nodes)),
    )
    return Changed({request_key(call.request): encode(after)}, (Event("access.active", fields),))


def _allowing(rows: RowReader, call: Activate, of_vault: Vault, policy: bytes) -> set[bytes]:
    """Return which nodes allowed: of the vault, and still of its cohort; each counts once."""
    current = cohort(rows, of_vault.cohort)
    members = set() if current is None else set(of_vault.nodes) & set(current.nodes)
    network = network_hash(rows)
    return {
        one.receipt.node
        for one in call.receipts
        if one.receipt.node in members
        and one.receipt.genesis_hash == network
        and one.receipt.request == call.request
        and one.receipt.policy == policy
        and one.receipt.code is Code.ALLOW
        and _has_signed(rows, one)
    }


def _has_signed(rows: RowReader, one: SignedReceipt) -> bool:
    key = signing_key(rows, Address(one.receipt.node))
    return key is not None and is_signed(key, receipt_message(one.receipt), one.signature)


def _served(rows: RowReader, call: Served, context: Context) -> Changed | Reason:
    """Leave a trace; or `NOT_ALLOWED` (no edge node), `NO_SUCH_OBJECT`, `NOT_ACTIVE`."""
    node = identity(rows, context.address)
    if node is None or node.role != "edge":
        return Reason.NOT_ALLOWED
    events = []
    for identifier in call.requests:
        asked = request(rows, identifier)
        if asked is None:
            return Reason.NO_SUCH_OBJECT
        if asked.activated_at_ms is None:
            return Reason.NOT_ACTIVE
        fields = (
            ("request", identifier.hex()),
            ("requester", asked.requester),
            ("node", context.address),
        )
        events.append(Event("access.served", fields))
    return Changed({}, tuple(events))
