"""Where tokens begin, end and are bound: the only module that makes or destroys any.

Of an address, the free part is its balance row and the bound part is its row of locks: tokens in
sessions, in open orders, or waiting for a withdrawal. Three totals count what there is: ENT and
eEuro, free and locked together, and the energy stored, in Wh. Every function changes the draft of
one operation or returns that it cannot; an operation that is refused throws its draft away.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from energy.units import UENT_PER_WH
from tangle.accounts import (
    Token,
    amount_at,
    balance_key,
    balance_row,
    locked_key,
    total_key,
)
from tangle.address import Address
from tangle.outcomes import Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import MAX_INTEGER

ENERGY: Final = "energy"
"""Name of the third total."""

MAX_ENERGY_WH: Final = MAX_INTEGER // UENT_PER_WH
"""Of all units together: what has tokens at par within the ledger's integers."""

SHORTAGE: Final = {
    Token.ENT: Reason.INSUFFICIENT_ENT,
    Token.EEURO: Reason.INSUFFICIENT_EEURO,
}
"""Why an operation that needs more of a token than there is gets refused."""


class Side(StrEnum):
    """Which part of an address' tokens."""

    FREE = "free"
    LOCKED = "locked"


def locked(rows: RowReader, token: Token, address: Address) -> int:
    """Return what of `address` is bound, in base units."""
    return amount_at(rows, locked_key(token, address))


def total(rows: RowReader, token: Token) -> int:
    """Return what all addresses hold together, free and locked, in base units."""
    return amount_at(rows, total_key(token))


def total_energy_wh(rows: RowReader) -> int:
    """Return what all storage units hold together."""
    return amount_at(rows, total_key(ENERGY))


def mint(draft: Draft, token: Token, shares: Sequence[tuple[Address, int]]) -> bool:
    """Create tokens, free in the hands of each; `False` beyond the range of integers."""
    amount = total(draft, token) + sum(share for _, share in shares)
    if amount > MAX_INTEGER:
        return False
    draft.put({total_key(token): balance_row(amount)})
    for address, share in shares:
        _add(draft, balance_key(token, address), share)
    return True


def burn(draft: Draft, token: Token, address: Address, amount: int, side: Side) -> None:
    """Destroy tokens of one side of `address`. The caller knows that they are there."""
    is_taken = _take(draft, _key(token, address, side), amount)
    assert is_taken, f"burns {amount} {token} of {address.hex()}, more than is {side}"
    _add(draft, total_key(token), -amount)


def lock(draft: Draft, token: Token, address: Address, amount: int) -> bool:
    """Bind free tokens of `address`; `False` if there are fewer."""
    if not _take(draft, balance_key(token, address), amount):
        return False
    _add(draft, locked_key(token, address), amount)
    return True


def unlock(draft: Draft, token: Token, address: Address, amount: int) -> None:
    """Set bound tokens of `address` free. The caller knows that they are bound."""
    is_taken = _take(draft, locked_key(token, address), amount)
    assert is_taken, f"unlocks {amount} {token} of {address.hex()}, more than is locked"
    _add(draft, balance_key(token, address), amount)


def change_energy(draft: Draft, change_wh: int) -> bool:
    """Count energy that units took in, or that left them (negative); `False` beyond the range."""
    energy_wh = total_energy_wh(draft) + change_wh
    if energy_wh > MAX_ENERGY_WH:
        return False
    draft.put({total_key(ENERGY): balance_row(energy_wh)})
    return True


def _key(token: Token, address: Address, side: Side) -> bytes:
    return balance_key(token, address) if side is Side.FREE else locked_key(token, address)


def _take(draft: Draft, key: bytes, amount: int) -> bool:
    held = amount_at(draft, key)
    if held < amount:
        return False
    draft.put({key: balance_row(held - amount)})
    return True


def _add(draft: Draft, key: bytes, amount: int) -> None:
    if amount:
        draft.put({key: balance_row(amount_at(draft, key) + amount)})
