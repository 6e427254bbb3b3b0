"""The `bank` contract: eEuro enters and leaves the ledger by the banker's hand.

The banker mints to a member who paid, and burns what a member has locked for withdrawal when it
is paid out. Nobody's money is touched that was not locked by its owner. Where nobody was voted
banker, voters pay out by the community fund, and who locked money may take it back.
"""

from typing import Final

import msgspec

from energy.locked import Side, burn, lock, mint, unlock
from energy.members import is_member
from energy.parameters import parameters
from tangle.accounts import Token
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import MAX_CALL_SIZE, Counter, Operation

NAME: Final = "bank"
BANKER_KEY: Final = b"bank/banker"
WITHDRAWAL_PREFIX: Final = b"bank/withdrawal/"
_MAX_ROW_SIZE: Final = 256


class Mint(msgspec.Struct, frozen=True, array_like=True, tag="mint"):
    """The banker was paid, and issues eEuro for it."""

    member: AddressField
    amount_ueur: Counter


class Burn(msgspec.Struct, frozen=True, array_like=True, tag="burn"):
    """The banker paid a withdrawal out."""

    member: AddressField
    amount_ueur: Counter


class Unlock(msgspec.Struct, frozen=True, array_like=True, tag="unlock"):
    """The banker gives a withdrawal back; while there is none, its owner takes it back."""

    member: AddressField
    amount_ueur: Counter


class Lock(msgspec.Struct, frozen=True, array_like=True, tag="lock"):
    """A member wants money out."""

    amount_ueur: Counter


BankCall = Mint | Burn | Unlock | Lock


class Banker(msgspec.Struct, frozen=True, array_like=True):
    """A row, once voters named one."""

    address: AddressField


class Withdrawal(msgspec.Struct, frozen=True, array_like=True):
    """A row: what a member has locked to be paid out. Part of its row of locks."""

    amount_ueur: Counter


_decoder: Final[Decoder[BankCall]] = Decoder(BankCall, "bank call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy
_bankers: Final = Decoder(Banker, "banker row", _MAX_ROW_SIZE)
_withdrawals: Final = Decoder(Withdrawal, "withdrawal row", _MAX_ROW_SIZE)


def bank_operation(call: BankCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def banker(rows: RowReader) -> Address | None:
    """Return who mints and burns eEuro, `None` if nobody was voted in."""
    value = rows.get(BANKER_KEY)
    return None if value is None else _bankers.read(value).address


def banker_row(address: Address) -> bytes:
    """Return the value of the banker's row."""
    return encode(Banker(address))


def withdrawal_ueur(rows: RowReader, member: Address) -> int:
    """Return what a member has locked to be paid out."""
    value = rows.get(WITHDRAWAL_PREFIX + member)
    return 0 if value is None else _withdrawals.read(value).amount_ueur


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key == BANKER_KEY:
        return _bankers.decode(value)
    return _withdrawals.decode(value) if key.startswith(WITHDRAWAL_PREFIX) else None


def apply_bank(rows: RowReader, call: BankCall, context: Context) -> Changed | Reason:
    """Decide one call of the `bank` contract.

    Returns:
        The changed rows; or `NOT_ALLOWED` (not the banker; nor, while there is none, who takes
        its own withdrawal back), and what the act itself refuses.
    """
    if isinstance(call, Lock):
        return _lock(rows, call.amount_ueur, context.address)
    acts_for_all = banker(rows)
    is_own = isinstance(call, Unlock) and acts_for_all is None and call.member == context.address
    if context.address != acts_for_all and not is_own:
        return Reason.NOT_ALLOWED
    match call:
        case Mint():
            return mint_eeuro(rows, call.member, call.amount_ueur)
        case Burn():
            return burn_eeuro(rows, call.member, call.amount_ueur)
        case Unlock():
            return _unlock(rows, call.member, call.amount_ueur)


def mint_eeuro(rows: RowReader, member: Address, amount_ueur: int) -> Changed | Reason:
    """Issue money to a member, whoever decided it.

    Returns:
        The changed rows; or `UNKNOWN_MEMBER`, `TOO_SMALL`, `OUT_OF_RANGE` (more than the ledger
        can count).
    """
    if not is_member(rows, member):
        return Reason.UNKNOWN_MEMBER
    if amount_ueur == 0:
        return Reason.TOO_SMALL
    draft = Draft(rows)
    if not mint(draft, Token.EEURO, ((member, amount_ueur),)):
        return Reason.OUT_OF_RANGE
    return Changed(draft.changes, (_event("bank.minted", member, amount_ueur),))


def burn_eeuro(rows: RowReader, member: Address, amount_ueur: int) -> Changed | Reason:
    """Destroy money that a member locked for withdrawal, whoever decided it.

    Returns:
        The changed rows; or `TOO_SMALL`, `INSUFFICIENT_EEURO` (less is locked for withdrawal).
    """
    draft = Draft(rows)
    reason = _take_withdrawal(draft, member, amount_ueur)
    if reason is not None:
        return reason
    burn(draft, Token.EEURO, member, amount_ueur, Side.LOCKED)
    return Changed(draft.changes, (_event("bank.burned", member, amount_ueur),))


def _unlock(rows: RowReader, member: Address, amount_ueur: int) -> Changed | Reason:
    """Give a withdrawal back; or `TOO_SMALL`, `INSUFFICIENT_EEURO`."""
    draft = Draft(rows)
    reason = _take_withdrawal(draft, member, amount_ueur)
    if reason is not None:
        return reason
    unlock(draft, Token.EEURO, member, amount_ueur)
    return Changed(draft.changes, (_event("bank.unlocked", member, amount_ueur),))


def _lock(rows: RowReader, amount_ueur: int, member: Address) -> Changed | Reason:
    """Lock the issuer's money to be paid out.

    Returns:
        The changed rows; or `NOT_ALLOWED` (there is neither a banker nor a community fund to pay
        it out), `TOO_SMALL`, `INSUFFICIENT_EEURO`.
    """
    if banker(rows) is None and not parameters(rows).has_fund:
        return Reason.NOT_ALLOWED
    if amount_ueur == 0:
        return Reason.TOO_SMALL
    draft = Draft(rows)
    if not lock(draft, Token.EEURO, member, amount_ueur):
        return Reason.INSUFFICIENT_EEURO
    _put_withdrawal(draft, member, withdrawal_ueur(draft, member) + amount_ueur)
    return Changed(draft.changes, (_event("bank.locked", member, amount_ueur),))


def _take_withdrawal(draft: Draft, member: Address, amount_ueur: int) -> Reason | None:
    held_ueur = withdrawal_ueur(draft, member)
    if amount_ueur == 0:
        return Reason.TOO_SMALL
    if held_ueur < amount_ueur:
        return Reason.INSUFFICIENT_EEURO
    _put_withdrawal(draft, member, held_ueur - amount_ueur)
    return None


def _put_withdrawal(draft: Draft, member: Address, amount_ueur: int) -> None:
    row = encode(Withdrawal(amount_ueur)) if amount_ueur else None
    draft.put({WITHDRAWAL_PREFIX + member: row})


def _event(name: str, member: Address, amount_ueur: int) -> Event:
    return Event(name, (("member", member), ("amount_ueur", amount_ueur)))


CONTRACT: Final = Contract(NAME, _decoder.decode, apply_bank)
"""What a network runs under the name `bank`."""
