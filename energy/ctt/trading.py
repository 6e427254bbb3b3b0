"""Tokens change hands: made, offered, bought, given. Prices are in eEuro, rounded down."""

import msgspec

from energy.ctt.calls import Approve, Buy, BuyEmpty, SetOnSale, Transfer, WithdrawSale
from energy.ctt.rows import (
    COLLECTION_KEY,
    CttToken,
    Sale,
    account,
    account_key,
    account_row,
    collection,
    token,
    token_rows,
)
from energy.units import WH_PER_KWH
from tangle.accounts import Token, moved
from tangle.address import Address
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import MAX_INTEGER


def price_ueur(one: CttToken, sale: Sale) -> int:
    """Return what a token costs: its own price, and the energy on board, rounded down together."""
    return sale.token_price_ueur + one.energy_wh * sale.energy_price_ueur // WH_PER_KWH


def buy_empty(rows: RowReader, call: BuyEmpty, context: Context) -> Changed | Reason:
    """`SUPPLY_CAP` if there may not be so many (or there is no collection), `INSUFFICIENT_EEURO`.

    The admin itself pays nothing.
    """
    held = collection(rows)
    if held is None or held.made + call.count > held.max_tokens:
        return Reason.SUPPLY_CAP
    draft = Draft(rows)
    cost_ueur = 0 if context.address == held.admin else call.count * held.price_ueur
    if not _pay(draft, context.address, Address(held.admin), cost_ueur):
        return Reason.INSUFFICIENT_EEURO
    empty = CttToken(context.address, held.capacity_wh, 0, None, None)
    for number in range(held.made, held.made + call.count):
        draft.put(token_rows(number, None, empty))
    after = msgspec.structs.replace(held, made=held.made + call.count)
    draft.put({COLLECTION_KEY: encode(after)})
    event = Event(
        "ctt.made",
        (
            ("owner", context.address),
            ("first", held.made),
            ("count", call.count),
            ("paid_ueur", cost_ueur),
        ),
    )
    return Changed(draft.changes, (event,))


def set_on_sale(rows: RowReader, call: SetOnSale, context: Context) -> Changed | Reason:
    """`NOT_YOURS`, or `ON_SALE` already: withdraw it first, so that no price moves in silence.

    `OUT_OF_RANGE` if token and energy together cost more than any amount there is.
    """
    one = token(rows, call.token)
    if one is None or one.owner != context.address:
        return Reason.NOT_YOURS
    if one.sale is not None:
        return Reason.ON_SALE
    sale = Sale(call.token_price_ueur, call.energy_price_ueur)
    asked_ueur = price_ueur(one, sale)
    if asked_ueur > MAX_INTEGER:
        return Reason.OUT_OF_RANGE
    event = Event(
        "ctt.on_sale",
        (("owner", context.address), ("token", call.token), ("price_ueur", asked_ueur)),
    )
    return _sale_changed(rows, call.token, one, sale, event)


def withdraw_sale(rows: RowReader, call: WithdrawSale, context: Context) -> Changed | Reason:
    """`NOT_YOURS`, or `NOT_ON_SALE`; `OUT_OF_RANGE` as `buy`."""
    one = token(rows, call.token)
    if one is None or one.owner != context.address:
        return Reason.NOT_YOURS
    if one.sale is None:
        return Reason.NOT_ON_SALE
    event = Event("ctt.withdrawn", (("owner", context.address), ("token", call.token)))
    return _sale_changed(rows, call.token, one, None, event)


def buy(rows: RowReader, call: Buy, context: Context) -> Changed | Reason:
    """`NOT_ON_SALE`, `SELF`, `PRICE_MOVED` above the buyer's maximum, `INSUFFICIENT_EEURO`.

    `OUT_OF_RANGE` if the new owner has more energy then than the ledger can count.
    """
    one = token(rows, call.token)
    if one is None or one.sale is None:
        return Reason.NOT_ON_SALE
    if one.owner == context.address:
        return Reason.SELF
    cost_ueur = price_ueur(one, one.sale)
    if cost_ueur > call.max_price_ueur:
        return Reason.PRICE_MOVED
    draft, seller = Draft(rows), Address(one.owner)
    if not _pay(draft, context.address, seller, cost_ueur):
        return Reason.INSUFFICIENT_EEURO
    if not _hand_over(draft, call.token, one, context.address):
        return Reason.OUT_OF_RANGE
    event = Event(
        "ctt.sold",
        (
            ("token", call.token),
            ("seller", seller),
            ("buyer", context.address),
            ("energy_wh", one.energy_wh),
            ("paid_ueur", cost_ueur),
        ),
    )
    return Changed(draft.changes, (event,))


def transfer(rows: RowReader, call: Transfer, context: Context) -> Changed | Reason:
    """`NOT_YOURS` but for the owner and who is approved, `ON_SALE`, `SELF`, `OUT_OF_RANGE`."""
    one = token(rows, call.token)
    if one is None or context.address not in (one.owner, one.approved):
        return Reason.NOT_YOURS
    if one.sale is not None:
        return Reason.ON_SALE
    if call.to == one.owner:
        return Reason.SELF
    draft = Draft(rows)
    if not _hand_over(draft, call.token, one, Address(call.to)):
        return Reason.OUT_OF_RANGE
    event = Event("ctt.moved", (("token", call.token), ("from", one.owner), ("to", call.to)))
    return Changed(draft.changes, (event,))


def approve(rows: RowReader, call: Approve, context: Context) -> Changed | Reason:
    """`NOT_YOURS` but for the owner, `SELF` for the owner as the one approved."""
    one = token(rows, call.token)
    if one is None or one.owner != context.address:
        return Reason.NOT_YOURS
    if call.to == context.address:
        return Reason.SELF
    event = Event("ctt.approved", (("token", call.token), ("approved", call.to or "nobody")))
    changed = msgspec.structs.replace(one, approved=call.to)
    return Changed(token_rows(call.token, one, changed), (event,))


def _pay(draft: Draft, payer: Address, recipient: Address, amount_ueur: int) -> bool:
    if payer == recipient or not amount_ueur:
        return True
    changes = moved(draft, Token.EEURO, payer, recipient, amount_ueur)
    if changes is None:
        return False
    draft.put(changes)
    return True


def _hand_over(draft: Draft, number: int, one: CttToken, to: Address) -> bool:
    """Change the owner: off sale, nobody approved, and the energy on board counts for the new.

    `False` if that has more energy then than the ledger can count.
    """
    former = Address(one.owner)
    if one.sale is None:
        change_available(draft, former, -one.energy_wh)
    after = CttToken(to, one.capacity_wh, one.energy_wh, None, None)
    draft.put(token_rows(number, one, after))
    return change_available(draft, to, one.energy_wh)


def _sale_changed(
    rows: RowReader, number: int, one: CttToken, sale: Sale | None, event: Event
) -> Changed | Reason:
    draft = Draft(rows)
    change_wh = one.energy_wh if sale is None else -one.energy_wh
    if not change_available(draft, Address(one.owner), change_wh):
        return Reason.OUT_OF_RANGE
    draft.put(token_rows(number, one, msgspec.structs.replace(one, sale=sale)))
    return Changed(draft.changes, (event,))


def change_available(draft: Draft, owner: Address, change_wh: int) -> bool:
    """Count energy that came to an owner's tokens not on sale (positive) or left them.

    Returns:
        `False` beyond the range of integers; the operation is refused then.
    """
    if not change_wh:
        return True
    held = account(draft, owner)
    after = msgspec.structs.replace(held, available_wh=held.available_wh + change_wh)
    assert after.available_wh >= 0, f"{owner.hex()} has {after.available_wh} Wh on tokens"
    if after.available_wh > MAX_INTEGER:
        return False
    draft.put({account_key(owner): account_row(after)})
    return True
