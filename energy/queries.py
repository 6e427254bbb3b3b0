"""Named questions about the ledger, answered in plain units: what scenarios and people ask.

`total.ent`, `rate`, `A.ent`, `U1.free`, `A.session.U1`, `parameter.M`: a key is a few words
between dots, the first of them a name of the asker's own for an address.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from energy.locked import locked, total, total_energy_wh
from energy.units import ENERGY, ENT, EUR, render
from tangle.accounts import Token, balance
from tangle.address import Address, encode_address
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


def ask(rows: RowReader, key: str, names: Names) -> Answer:
    """Return what the ledger says to one query key (ENERGY §8).

    Raises:
        InvalidError: No such key, or a name that stands for nobody.
    """
    if key in _WHOLE:
        return _WHOLE[key](rows)
    name, _, what = key.partition(".")
    if what in _OF_MEMBER:
        return _OF_MEMBER[what](rows, names.address(name))
    raise InvalidError(f"query {key!r}: there is no such key")


_WHOLE: Final[Mapping[str, Callable[[RowReader], Answer]]] = {
    "total.ent": lambda rows: render(total(rows, Token.ENT), ENT),
    "total.eeuro": lambda rows: render(total(rows, Token.EEURO), EUR),
    "total.energy": lambda rows: render(total_energy_wh(rows), ENERGY),
}

_OF_MEMBER: Final[Mapping[str, Callable[[RowReader, Address], Answer]]] = {
    "ent": lambda rows, one: render(balance(rows, Token.ENT, one), ENT),
    "ent_locked": lambda rows, one: render(locked(rows, Token.ENT, one), ENT),
    "eeuro": lambda rows, one: render(balance(rows, Token.EEURO, one), EUR),
    "eeuro_locked": lambda rows, one: render(locked(rows, Token.EEURO, one), EUR),
}
