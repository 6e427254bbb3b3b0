"""The `access` contract: vaults, streams, grants, requests and the approver vote."""

from typing import Final

from access.approval.voting import ApprovalCall, CastVote, Header, apply_approval, end_votes
from access.requests.granting import (
    AcknowledgeRevocation,
    GrantCall,
    RegisterGrant,
    RevokeGrant,
    apply_grant,
)
from access.requests.requesting import (
    Activate,
    MakeRequest,
    RequestCall,
    Served,
    apply_request,
)
from access.streams.rules import AddChunk, EraseChunks, OpenStream, StreamCall, apply_stream
from access.vaults.rules import (
    Acknowledge,
    Complain,
    Deal,
    Open,
    Retire,
    VaultCall,
    apply_vault,
)
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Reason
from tangle.rows import RowReader
from tangle.transaction import MAX_CALL_SIZE, Operation

NAME: Final = "access"

AccessCall = VaultCall | StreamCall | GrantCall | RequestCall | ApprovalCall

decoder: Final[Decoder[AccessCall]] = Decoder(AccessCall, "access call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy


def access_operation(call: AccessCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def apply_access(rows: RowReader, call: AccessCall, context: Context) -> Changed | Reason:
    """Decide one call. Each kind of call says by itself who may make it."""
    match call:
        case Deal() | Acknowledge() | Open() | Complain() | Retire():
            return apply_vault(rows, call, context)
        case OpenStream() | AddChunk() | EraseChunks():
            return apply_stream(rows, call, context)
        case RegisterGrant() | RevokeGrant() | AcknowledgeRevocation():
            return apply_grant(rows, call, context)
        case MakeRequest() | Activate() | Served():
            return apply_request(rows, call, context)
        case Header() | CastVote():
            return apply_approval(rows, call, context)


CONTRACT: Final = Contract(NAME, decoder.decode, apply_access, end_votes)
"""What a network runs under the name `access`."""
