"""The `transfer` contract: ENT and eEuro from the issuer to another address."""

from typing import Final

import msgspec

from tangle.accounts import Token, moved
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import MAX_CALL_SIZE, Counter, Operation

NAME: Final = "transfer"


class TransferEnt(msgspec.Struct, frozen=True, array_like=True, tag="ent"):
    """Move energy tokens."""

    to: AddressField
    amount_uent: Counter
    """µENT; 1,000,000 are one ENT, one kWh at par."""


class TransferEeuro(msgspec.Struct, frozen=True, array_like=True, tag="eeuro"):
    """Move eEuro."""

    to: AddressField
    amount_ueur: Counter
    """µEUR; 1,000,000 are one eEuro."""


Transfer = TransferEnt | TransferEeuro

_decoder: Final[Decoder[Transfer]] = Decoder(Transfer, "transfer", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy


def apply_transfer(rows: RowReader, call: Transfer, context: Context) -> Changed | Reason:
    """Move tokens from the issuer.

    Returns:
        The changed balances; or `TOO_SMALL` (nothing to move), `SELF` (to the issuer),
        `INSUFFICIENT_ENT` or `INSUFFICIENT_EEURO`.
    """
    token, amount, shortage = _parts(call)
    if amount == 0:
        return Reason.TOO_SMALL
    if call.to == context.address:
        return Reason.SELF
    changes = moved(rows, token, context.address, call.to, amount)
    if changes is None:
        return shortage
    return Changed(changes, (_moved_event(token, context.address, call.to, amount),))


def _parts(call: Transfer) -> tuple[Token, int, Reason]:
    match call:
        case TransferEnt():
            return Token.ENT, call.amount_uent, Reason.INSUFFICIENT_ENT
        case TransferEeuro():
            return Token.EEURO, call.amount_ueur, Reason.INSUFFICIENT_EEURO


def _moved_event(token: Token, sender: Address, to: Address, amount: int) -> Event:
    unit = {Token.ENT: "amount_uent", Token.EEURO: "amount_ueur"}[token]
    return Event(
        "transfer.moved",
        (("from", sender), ("to", to), (unit, amount)),
    )


def transfer_operation(call: Transfer) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


CONTRACT: Final = Contract(NAME, _decoder.decode, apply_transfer)
