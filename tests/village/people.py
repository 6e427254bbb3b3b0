"""What the people of the village do, from what the ledger shows them; plain on purpose."""

from collections.abc import Iterator
from random import Random
from typing import Final

from energy.bank import Burn, Lock, Mint, bank_operation, withdrawal_ueur
from energy.market.book import side_of_book
from energy.market.contract import Buy, Sell, market_operation
from energy.market.pricing import LOT_UENT, locked_for
from energy.powerchain.calls import OpenSession, energy_operation
from energy.powerchain.records import sessions_at, unit_at
from energy.units import HOUR_MS, UENT_PER_ENT, UENT_PER_WH, UEUR_PER_EUR
from tangle.accounts import Token, balance
from tangle.address import Address
from tangle.rows import RowReader
from tangle.transaction import Operation

SESSION_UENT: Final = 4 * UENT_PER_ENT
KEPT_UENT: Final = 8 * UENT_PER_ENT
"""Of what is free, what nobody sells."""

SHORT_UENT: Final = 2 * UENT_PER_ENT
LEAST_UENT: Final = UENT_PER_ENT // 4
PRICES_UEUR: Final = range(160_000, 280_000)
ORDER_MS: Final = 6 * HOUR_MS
LOW_UEUR: Final = 20 * UEUR_PER_EUR
PAID_IN_UEUR: Final = 100 * UEUR_PER_EUR
PLENTY_UEUR: Final = 250 * UEUR_PER_EUR


def household(
    rows: RowReader, member: Address, unit: Address, now_ms: int, rng: Random
) -> Iterator[Operation]:
    """Keep a session open while there are tokens, sell what is spare, buy what is short."""
    held_uent, held_ueur = balance(rows, Token.ENT, member), balance(rows, Token.EEURO, member)
    battery = unit_at(rows, unit)
    assert battery is not None, "founded with one"
    if not any(now_ms < one.expires_at_ms for one in sessions_at(rows, unit, member)):
        amount_uent = min(held_uent, SESSION_UENT, battery.free_wh * UENT_PER_WH)
        if amount_uent >= LEAST_UENT:
            held_uent -= amount_uent
            yield energy_operation(OpenSession(unit, amount_uent))
    price_ueur = rng.choice(PRICES_UEUR)
    has_order = any(
        one.owner == member for side in ("sell", "buy") for one in side_of_book(rows, side)
    )
    if not has_order and held_uent > KEPT_UENT + LEAST_UENT:
        amount_uent = (held_uent - KEPT_UENT) // 2 // LOT_UENT * LOT_UENT
        yield market_operation(Sell(amount_uent, price_ueur, now_ms + ORDER_MS))
    elif not has_order and held_uent < SHORT_UENT:
        amount_uent = (SHORT_UENT - held_uent) // LOT_UENT * LOT_UENT
        if amount_uent and locked_for(amount_uent, price_ueur) <= held_ueur:
            yield market_operation(Buy(amount_uent, price_ueur, now_ms + ORDER_MS))
    if held_ueur > PLENTY_UEUR and not withdrawal_ueur(rows, member):
        yield bank_operation(Lock(held_ueur - PLENTY_UEUR // 2))


def banker(rows: RowReader, members: tuple[Address, ...]) -> Iterator[Operation]:
    """Issue money to who paid in, pay out what was locked."""
    for member in members:
        if waiting_ueur := withdrawal_ueur(rows, member):
            yield bank_operation(Burn(member, waiting_ueur))
        elif balance(rows, Token.EEURO, member) < LOW_UEUR:
            yield bank_operation(Mint(member, PAID_IN_UEUR))
