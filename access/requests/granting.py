"""Grants on the ledger: registered, revoked, and the revocation acknowledged."""

from typing import Annotated, Final

import msgspec

from access.requests.records import (
    Grant,
    Revocation,
    acknowledgements_to_revoke,
    grant,
    grant_id,
    grant_key,
)
from access.threshold.feldman import MAX_THRESHOLD
from access.vaults.vault import vault
from tangle.address import AddressField
from tangle.codec import encode
from tangle.cohorts import node_index
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField, Label

MAX_GRANT_MS: Final = 366 * 86_400_000
"""Longest validity from registration on: who grants for longer says so again each year."""


class RegisterGrant(msgspec.Struct, frozen=True, array_like=True, tag="grant"):
    """Commit to a grant. By the vault's owner; or by whom a grant lets pass it on."""

    salt_hash: HashField
    commitment: HashField
    vault: HashField
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_THRESHOLD)]
    not_after_ms: Counter
    revoker: AddressField
    parent: HashField | None
    """The grant that is passed on."""


class RevokeGrant(msgspec.Struct, frozen=True, array_like=True, tag="revoke"):
    """Take a grant back. By the vault's owner, its registrar or its revoker."""

    grant: HashField
    reason: Label


class AcknowledgeRevocation(msgspec.Struct, frozen=True, array_like=True, tag="revoke_ack"):
    """Say that one opens nothing under a grant any more. By a node of its vault."""

    grant: HashField


GrantCall = RegisterGrant | RevokeGrant | AcknowledgeRevocation


def apply_grant(rows: RowReader, call: GrantCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    match call:
        case RegisterGrant():
            return _register(rows, call, context)
        case RevokeGrant():
            return _revoke(rows, call, context)
        case AcknowledgeRevocation():
            return _acknowledge(rows, call, context)


def _register(rows: RowReader, call: RegisterGrant, context: Context) -> Changed | Reason:
    """Make the row; or why not.

    `NO_SUCH_OBJECT` (vault or parent), `NOT_ACTIVE` (vault was never in force), `NOT_ALLOWED`
    (not the owner, and no grant that is passed on), `REVOKED` (the parent), `OUT_OF_RANGE`
    (threshold or end), `EXISTS`.
    """
    refusal = _ungrantable(rows, call, context)
    if refusal is not None:
        return refusal
    identifier = grant_id(context.address, call.salt_hash)
    if grant(rows, identifier) is not None:
        return Reason.EXISTS
    row = Grant(
        call.commitment,
        context.address,
        call.vault,
        call.k,
        call.not_after_ms,
        call.revoker,
        call.parent,
        None,
    )
    event = Event(
        "access.granted",
        (("grant", identifier.hex()), ("registrar", context.address), ("vault", call.vault.hex())),
    )
    return Changed({grant_key(identifier): encode(row)}, (event,))


def _ungrantable(rows: RowReader, call: RegisterGrant, context: Context) -> Reason | None:
    of_vault = vault(rows, call.vault)
    parent = None if call.parent is None else grant(rows, call.parent)
    if of_vault is None or (call.parent is not None and parent is None):
        return Reason.NO_SUCH_OBJECT
    if of_vault.sharing is None:
        return Reason.NOT_ACTIVE
    # whom a grant lets pass it on is not on the ledger: the nodes check the documents
    if parent is None and of_vault.owner != context.address:
        return Reason.NOT_ALLOWED
    if parent is not None and parent.revocation is not None:
        return Reason.REVOKED
    now_ms = context.timestamp_ms
    is_threshold = of_vault.k <= call.k <= len(of_vault.nodes)
    is_narrower = parent is None or (parent.vault == call.vault and parent.k <= call.k)
    is_timely = now_ms < call.not_after_ms <= now_ms + MAX_GRANT_MS
    return None if is_threshold and is_narrower and is_timely else Reason.OUT_OF_RANGE


def _revoke(rows: RowReader, call: RevokeGrant, context: Context) -> Changed | Reason:
    """Mark the row; or `NO_SUCH_OBJECT`, `NOT_ALLOWED`, `REVOKED`."""
    held = grant(rows, call.grant)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    of_vault = vault(rows, held.vault)
    assert of_vault is not None, "a grant names a vault, and vaults are never deleted"
    if context.address not in (of_vault.owner, held.registrar, held.revoker):
        return Reason.NOT_ALLOWED
    if held.revocation is not None:
        return Reason.REVOKED
    after = msgspec.structs.replace(held, revocation=Revocation(context.timestamp_ms, ()))
    fields = (("grant", call.grant.hex()), ("by", context.address), ("reason", call.reason))
    return Changed({grant_key(call.grant): encode(after)}, (Event("access.revoked", fields),))


def _acknowledge(
    rows: RowReader, call: AcknowledgeRevocation, context: Context
) -> Changed | Reason:
    """Count a node; or `NO_SUCH_OBJECT`, `NOT_ACTIVE` (not revoked), `NOT_ALLOWED`, `EXISTS`."""
    held = grant(rows, call.grant)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if held.revocation is None:
        return Reason.NOT_ACTIVE
    of_vault = vault(rows, held.vault)
    assert of_vault is not None, "a grant names a vault, and vaults are never deleted"
    index = node_index(of_vault.nodes, context.address)
    if not index:
        return Reason.NOT_ALLOWED
    known = held.revocation.acknowledged
    if index in known:
        return Reason.EXISTS
    revocation = msgspec.structs.replace(
        held.revocation, acknowledged=tuple(sorted((*known, index)))
    )
    after = msgspec.structs.replace(held, revocation=revocation)
    fields = (
        ("grant", call.grant.hex()),
        ("node", context.address),
        ("status", revocation_status(after, of_vault.k, len(of_vault.nodes))),
    )
    return Changed(
        {grant_key(call.grant): encode(after)}, (Event("access.revocation_known", fields),)
    )


def revocation_status(held: Grant, k: int, n: int) -> str:
    """Return `none`, `pending` or `effective`: whether k nodes could still open something new.

    Args:
        held: The grant.
        k: Threshold of its vault, which its own may exceed.
        n: Nodes of its vault.
    """
    if held.revocation is None:
        return "none"
    known = len(held.revocation.acknowledged)
    return "effective" if known >= acknowledgements_to_revoke(k, n) else "pending"
