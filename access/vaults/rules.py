"""What may be done to a vault on the ledger: deal, acknowledge, open, complain, retire."""

from typing import Annotated, Final

import msgspec

from access.identity.idot import idot, signing_key
from access.threshold import feldman
from access.vaults.dealing import Expected, ShareDelivery, is_justified
from access.vaults.vault import (
    Commitments,
    Sharing,
    Vault,
    acknowledgements_needed,
    vault,
    vault_id,
    vault_key,
)
from tangle.accounts import network_hash
from tangle.address import Address
from tangle.codec import encode
from tangle.cohorts import cohort, node_index
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import MAX_INTEGER, Counter, HashField, Label

SharingNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]


class Deal(msgspec.Struct, frozen=True, array_like=True, tag="deal"):
    """Commit to shares of a new vault, or to new shares of an old one. By its owner."""

    cohort: Label
    generation: Counter
    number: SharingNumber
    """1 for a new vault, the next one for new shares."""

    commitments: Commitments


class Acknowledge(msgspec.Struct, frozen=True, array_like=True, tag="acknowledge"):
    """Say that one's share is there and consistent. By a node of the vault."""

    vault: HashField
    number: SharingNumber


class Open(msgspec.Struct, frozen=True, array_like=True, tag="open"):
    """Put a sharing in force though nodes are missing, which hold no share then. By the owner."""

    vault: HashField
    number: SharingNumber


class Complain(msgspec.Struct, frozen=True, array_like=True, tag="complain"):
    """Show a share that the dealer signed and that breaks the commitments. By anybody."""

    delivery: ShareDelivery


class Retire(msgspec.Struct, frozen=True, array_like=True, tag="retire"):
    """Take no further chunks; what is there stays readable. By the owner."""

    vault: HashField


VaultCall = Deal | Acknowledge | Open | Complain | Retire

_NOT_ALIVE: Final = ("broken", "retired")


def apply_vault(rows: RowReader, call: VaultCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    match call:
        case Deal():
            return _deal(rows, call, context)
        case Complain():
            return _complain(rows, call)
        case Acknowledge() | Open() | Retire():
            return _of_living(rows, call, context)


def _of_living(
    rows: RowReader, call: Acknowledge | Open | Retire, context: Context
) -> Changed | Reason:
    """Change a vault that is there; or `NO_SUCH_OBJECT`, `NOT_ACTIVE`, `NOT_ALLOWED`."""
    held = vault(rows, call.vault)
    if held is None or held.state in _NOT_ALIVE:
        return Reason.NO_SUCH_OBJECT if held is None else Reason.NOT_ACTIVE
    if isinstance(call, Acknowledge):
        return _acknowledge(call, held, context)
    if held.owner != context.address:
        return Reason.NOT_ALLOWED
    if isinstance(call, Open):
        return _open(call, held)
    return _changed(
        call.vault, msgspec.structs.replace(held, state="retired", pending=None), "vault_retired"
    )


def _deal(rows: RowReader, call: Deal, context: Context) -> Changed | Reason:
    """Make or refresh a vault; or why not.

    `NO_SUCH_OBJECT` (no such cohort, or the dealer has no published keys), `OUT_OF_RANGE`
    (generation, threshold or number), `EXISTS` (another sharing is pending), `NOT_ACTIVE`,
    `BAD_PROOF` (a commitment is no point).
    """
    current = cohort(rows, call.cohort)
    if current is None or idot(rows, context.address) is None:
        return Reason.NO_SUCH_OBJECT
    genesis_hash = network_hash(rows)
    identifier = vault_id(
        genesis_hash, context.address, call.cohort, call.generation, call.commitments[0]
    )
    before = vault(rows, identifier)
    refusal = _undealable(call, before, current.generation, len(current.nodes))
    if refusal is not None:
        return refusal
    if not feldman.are_commitments(call.commitments):
        return Reason.BAD_PROOF
    sharing = Sharing(call.number, call.commitments, ())
    if before is None:
        made = Vault(
            context.address,
            call.cohort,
            call.generation,
            current.nodes,
            "dealing",
            None,
            sharing,
        )
    else:
        made = msgspec.structs.replace(before, pending=sharing)
    return _changed(identifier, made, "vault_dealt", call.number)


def _undealable(call: Deal, before: Vault | None, generation: int, nodes: int) -> Reason | None:
    if call.generation != generation or len(call.commitments) > nodes:
        return Reason.OUT_OF_RANGE
    if before is None:
        return None if call.number == 1 else Reason.OUT_OF_RANGE
    if before.state in _NOT_ALIVE:
        return Reason.NOT_ACTIVE
    if before.pending is not None:
        return Reason.EXISTS
    assert before.sharing is not None, "a vault without pending sharing has one in force"
    if call.number != before.sharing.number + 1 or len(call.commitments) != before.k:
        return Reason.OUT_OF_RANGE
    return None


def _acknowledge(call: Acknowledge, held: Vault, context: Context) -> Changed | Reason:
    """Count a node; or `NOT_ALLOWED`, `NO_SUCH_OBJECT` (no such sharing), `EXISTS`."""
    index = node_index(held.nodes, context.address)
    if not index:
        return Reason.NOT_ALLOWED
    # who was missing when the sharing came into force may still join it
    is_late = held.sharing is not None and held.sharing.number == call.number
    sharing = held.sharing if is_late else held.pending
    if sharing is None or sharing.number != call.number:
        return Reason.NO_SUCH_OBJECT
    if index in sharing.acknowledged:
        return Reason.EXISTS
    counted = msgspec.structs.replace(
        sharing, acknowledged=tuple(sorted((*sharing.acknowledged, index)))
    )
    if is_late:
        after = msgspec.structs.replace(held, sharing=counted)
    elif len(counted.acknowledged) == len(held.nodes):
        after = _in_force(held, counted)
    else:
        after = msgspec.structs.replace(held, pending=counted)
    return _changed(call.vault, after, "share_acknowledged", call.number, context.address)


def _open(call: Open, held: Vault) -> Changed | Reason:
    """Put it in force; or `NO_SUCH_OBJECT`, `BELOW_THRESHOLD` (too few acknowledged)."""
    if held.pending is None or held.pending.number != call.number:
        return Reason.NO_SUCH_OBJECT
    needed = acknowledgements_needed(len(held.pending.commitments), len(held.nodes))
    if len(held.pending.acknowledged) < needed:
        return Reason.BELOW_THRESHOLD
    return _changed(call.vault, _in_force(held, held.pending), "vault_opened", call.number)


def _complain(rows: RowReader, call: Complain) -> Changed | Reason:
    """Drop a sharing that was dealt wrongly; or `NO_SUCH_OBJECT`, `NOT_ACTIVE`, `BAD_PROOF`.

    A vault that had no other sharing is broken for good. One in force stays as it was: the
    nodes that acknowledged it checked it.
    """
    statement = call.delivery.statement
    held = vault(rows, statement.vault)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if held.pending is None or held.pending.number != statement.number:
        return Reason.NOT_ACTIVE
    dealer = signing_key(rows, Address(held.owner))
    if dealer is None or statement.index > len(held.nodes):
        return Reason.BAD_PROOF
    expected = Expected(statement.vault, held.pending, statement.index, dealer)
    if not is_justified(call.delivery, expected):
        return Reason.BAD_PROOF
    state = "broken" if held.sharing is None else held.state
    after = msgspec.structs.replace(
        held, state=state, pending=held.pending if held.sharing is None else None
    )
    return _changed(statement.vault, after, "deal_refuted", statement.number)


def _in_force(held: Vault, sharing: Sharing) -> Vault:
    return msgspec.structs.replace(held, state="active", sharing=sharing, pending=None)


def _changed(
    identifier: bytes, after: Vault, what: str, number: int = 0, node: bytes = b""
) -> Changed:
    fields: tuple[tuple[str, str | int | bytes], ...] = (
        ("vault", identifier.hex()),
        ("owner", after.owner),
        ("state", after.state),
    )
    if number:
        fields = (*fields, ("number", number))
    if node:
        fields = (*fields, ("node", node))
    return Changed({vault_key(identifier): encode(after)}, (Event(f"access.{what}", fields),))
