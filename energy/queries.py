"""Named questions about the ledger, answered in plain units: what scenarios and people ask.

`total.ent`, `rate`, `A.ent`, `U1.free`, `A.session.U1`, `parameter.M`: a key is a few words
between dots, the first of them a name of the asker's own for an address.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from energy.bank import banker
from energy.bills.answers import issued_answer, tariff_answers
from energy.bills.documents import MAX_NUMBER
from energy.bills.rows import last_number
from energy.ctt.rows import CttToken, token, tokens_of
from energy.ctt.trading import price_ueur
from energy.locked import locked, total, total_energy_wh
from energy.market.book import side_of_book
from energy.members import voters
from energy.parameters import parameters, render_parameter, value_of
from energy.powerchain.records import StorageUnit, gap_of, sessions_at, unit_at
from energy.units import ENERGY, ENT, EUR, PRICE, RATE, render
from tangle.accounts import Token, balance
from tangle.address import Address, decode_address, encode_address
from tangle.errors import InvalidError
from tangle.rows import RowReader

Answer = str | list[str] | list[list[str]]
"""A quantity or a name; a list of names; a list of records."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the asker calls addresses."""

    by_name: Mapping[str, Address]

    def address(self, name: str) -> Address:
        """Return who is called so. Raises `InvalidError`."""
        if name not in self.by_name:
            raise InvalidError(f"query: nobody is named {name!r}")
        return self.by_name[name]

    def name(self, address: Address) -> str:
        """Return the name of an address, its text form if it has none."""
        found = (name for name, one in self.by_name.items() if one == address)
        return next(found, encode_address(address))


class Addresses(Mapping[str, Address]):
    """For whoever has no names of their own: addresses are named by their text form."""

    @override
    def __getitem__(self, name: str) -> Address:
        """Return the address. Raises `InvalidAddressError` for a text that is none."""
        return decode_address(name)

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return 0


def ask(rows: RowReader, key: str, names: Names) -> Answer:
    """Return what the ledger says to one query key (ENERGY §8).

    Raises:
        InvalidError: No such key, a name that stands for nobody, or for no storage unit where
            one is asked for.
    """
    if key in _WHOLE:
        return _WHOLE[key](rows)
    if key in _NAMED:
        return _NAMED[key](rows, names)
    name, _, what = key.partition(".")
    if name == "parameter":
        return render_parameter(what, value_of(parameters(rows), what))
    if name == "ctt" and what:
        return _of_ctt(rows, what, names)
    return _of_somebody(rows, name, what, names)


def _of_somebody(rows: RowReader, name: str, what: str, names: Names) -> Answer:
    if what in _OF_MEMBER:
        return _OF_MEMBER[what](rows, names.address(name))
    if what in _OF_UNIT:
        return _OF_UNIT[what](_unit(rows, names, name), names)
    what, _, unit = what.partition(".")
    if what == "session" and unit:
        held = sessions_at(rows, names.address(unit), names.address(name))
        return render(sum(one.amount_uent for one in held), ENT) if held else NOTHING
    if what == "bill" and unit.isascii() and unit.isdigit() and len(unit) <= len(str(MAX_NUMBER)):
        return issued_answer(rows, names.address(name), int(unit))
    raise InvalidError(f"query {f'{name}.{what}'!r}: there is no such key")


def _unit(rows: RowReader, names: Names, name: str) -> StorageUnit:
    unit = unit_at(rows, names.address(name))
    if unit is None:
        raise InvalidError(f"query: {name!r} is no storage unit")
    return unit


def _banker(rows: RowReader, names: Names) -> Answer:
    address = banker(rows)
    return NOTHING if address is None else names.name(address)


def _of_ctt(rows: RowReader, what: str, names: Names) -> Answer:
    number, _, field = what.partition(".")
    one = token(rows, int(number)) if _TOKEN_NUMBER.fullmatch(number) else None
    if one is None or field not in _OF_CTT:
        raise InvalidError(f"query: no {field!r} of CTT token {number!r}")
    return _OF_CTT[field](one, names)


def _orders(rows: RowReader, names: Names) -> Answer:
    """Return the open orders: offers, cheapest first, then bids, dearest first."""
    return [
        [
            names.name(Address(one.owner)),
            one.place.side,
            render(one.left_uent, ENT),
            render(one.place.price_ueur, PRICE),
        ]
        for side in ("sell", "buy")
        for one in side_of_book(rows, side)
    ]


NOTHING: Final = "none"
_TOKEN_NUMBER: Final = re.compile(r"[0-9]{1,18}")
"""As many digits as surely fit a key, and as many as Python reads."""

_WHOLE: Final[Mapping[str, Callable[[RowReader], Answer]]] = {
    "total.ent": lambda rows: render(total(rows, Token.ENT), ENT),
    "total.eeuro": lambda rows: render(total(rows, Token.EEURO), EUR),
    "total.energy": lambda rows: render(total_energy_wh(rows), ENERGY),
    "gap": lambda rows: render(gap_of(rows).gap_uent, ENT),
    "rate": lambda rows: render(gap_of(rows).rate_ppm, RATE),
}

_NAMED: Final[Mapping[str, Callable[[RowReader, Names], Answer]]] = {
    "voters": lambda rows, names: sorted(names.name(one) for one in voters(rows)),
    "banker": _banker,
    "orders": _orders,
}

_OF_MEMBER: Final[Mapping[str, Callable[[RowReader, Address], Answer]]] = {
    "ent": lambda rows, one: render(balance(rows, Token.ENT, one), ENT),
    "ent_locked": lambda rows, one: render(locked(rows, Token.ENT, one), ENT),
    "eeuro": lambda rows, one: render(balance(rows, Token.EEURO, one), EUR),
    "eeuro_locked": lambda rows, one: render(locked(rows, Token.EEURO, one), EUR),
    "bills": lambda rows, one: str(last_number(rows, one)),
    "tariffs": lambda rows, one: list(tariff_answers(rows, one)),
    "ctt": lambda rows, one: [str(number) for number in tokens_of(rows, one)],
}

_OF_UNIT: Final[Mapping[str, Callable[[StorageUnit, Names], Answer]]] = {
    "energy": lambda unit, _: render(unit.stored_wh, ENERGY),
    "free": lambda unit, _: render(unit.free_wh, ENERGY),
    "owner": lambda unit, names: names.name(unit.owner),
}

_OF_CTT: Final[Mapping[str, Callable[[CttToken, Names], Answer]]] = {
    "owner": lambda one, names: names.name(Address(one.owner)),
    "energy": lambda one, _: render(one.energy_wh, ENERGY),
    "capacity": lambda one, _: render(one.capacity_wh, ENERGY),
    "price": lambda one, _: NOTHING if one.sale is None else render(price_ueur(one, one.sale), EUR),
}
