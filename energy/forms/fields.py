"""What a field of an operation may be, and how its text becomes the value of a call."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from energy.bills.days import parse_day
from energy.parameters import RULES, parse_parameter
from energy.units import DURATION, ENERGY, ENT, EUR, KWH_PRICE, PRICE, RATE, Unit, parse
from tangle.address import Address
from tangle.errors import InvalidError
from tangle.hashing import HASH_SIZE
from tangle.keys import PublicKey
from tangle.transaction import TransactionId

NOBODY: Final = "none"

_HASH: Final = re.compile(f"[0-9a-f]{{{2 * HASH_SIZE}}}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """What the writer's names stand for."""

    addresses: Mapping[str, Address]
    keys: Mapping[str, PublicKey]
    orders: Mapping[str, TransactionId]
    now_ms: int
    """Ledger time: durations count from here."""

    def address(self, name: str) -> Address:
        """Return who is called so. Raises `InvalidError`."""
        return _found(self.addresses, name, "nobody is named")

    def key(self, name: str) -> PublicKey:
        """Return the key of who is called so. Raises `InvalidError`."""
        return _found(self.keys, name, "no key belongs to")

    def order(self, name: str) -> TransactionId:
        """Return the order that was named so. Raises `InvalidError`."""
        return _found(self.orders, name, "no order was named")


Reader = Callable[[object, Known], object]
"""Makes the value of a call's field from what stands in the file.

Raises:
    InvalidError: It is not of this kind; says what would be.
"""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an operation."""

    name: str
    into: str
    """Name of the field in the call, with its unit."""

    read: Reader
    is_optional: bool = False
    role: str | None = None
    """What whoever is named here must be registered as; `None` if nobody is, or anybody."""

    @property
    def written(self) -> str:
        """How people write it."""
        return _WRITTEN[self.read][0]

    @property
    def example(self) -> str:
        """One value of it, as a shell takes it."""
        return _WRITTEN[self.read][1]


def values(
    fields: tuple[Field, ...], given: Mapping[str, object], known: Known
) -> dict[str, object]:
    """Return the values of a call's fields by name.

    Raises:
        InvalidError: A field is missing, unknown, or not what it must be.
    """
    unknown = sorted(set(given) - {field.name for field in fields})
    if unknown:
        names = ", ".join(field.name for field in fields) or "none"
        raise InvalidError(f"no field {unknown[0]!r}: the fields are {names}")
    read = {}
    for field in fields:
        if field.name in given:
            try:
                read[field.into] = field.read(given[field.name], known)
            except InvalidError as error:
                raise InvalidError(f"{field.name}: {error}") from error
        elif not field.is_optional:
            raise InvalidError(f"{field.name} is missing")
    return read


def quantity(unit: Unit) -> Reader:
    """Return a reader of quantities: a number and its unit, in text."""

    def read(value: object, _: Known) -> object:
        return parse(_text(value), unit)

    return read


def member(value: object, known: Known) -> object:
    """Read a name as the address of its bearer."""
    return known.address(_text(value))


def member_or_none(value: object, known: Known) -> object:
    """Read a name as an address, the word none as nobody."""
    return None if value == NOBODY else member(value, known)


def order(value: object, known: Known) -> object:
    """Read the name that an order was given."""
    return known.order(_text(value))


def integer(value: object, _: Known) -> object:
    """Read a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidError(f"{value!r} is no whole number")
    return value


def watts(value: object, known: Known) -> object:
    """Read a power in whole watts, or the word none."""
    return None if value == NOBODY else integer(value, known)


def moment(value: object, known: Known) -> object:
    """Read a duration from now as ledger time."""
    return known.now_ms + parse(_text(value), DURATION)


def parameter_name(value: object, _: Known) -> object:
    """Read a word: whether there is such a parameter is for the vote to say."""
    return _text(value)


def parameter_text(value: object, _: Known) -> object:
    """Read the value of a parameter, of whatever kind that one is."""
    return _text(value)


def key_list(value: object, known: Known) -> object:
    """Read names as public keys, ascending."""
    if not isinstance(value, list):
        raise InvalidError(f"{value!r} is no list of names")
    return tuple(sorted(known.key(_text(one)) for one in value))


def member_list(value: object, known: Known) -> object:
    """Read names as addresses, ascending."""
    if not isinstance(value, list):
        raise InvalidError(f"{value!r} is no list of names")
    return tuple(sorted(known.address(_text(one)) for one in value))


def word(value: object, _: Known) -> object:
    """Read a word: which ones there are is for the operation to say."""
    return _text(value)


def length(value: object, _: Known) -> object:
    """Read a duration."""
    return parse(_text(value), DURATION)


def day(value: object, _: Known) -> object:
    """Read a local day."""
    return parse_day(_text(value))


def hash_of(value: object, _: Known) -> object:
    """Read 32 bytes in hex."""
    text = _text(value)
    if not _HASH.fullmatch(text):
        raise InvalidError(f"{text!r} is not {2 * HASH_SIZE} hex digits in lower case")
    return bytes.fromhex(text)


def hash_list(value: object, known: Known) -> object:
    """Read a list of 32 bytes in hex."""
    if not isinstance(value, list):
        raise InvalidError(f"{value!r} is no list of {2 * HASH_SIZE} hex digits each")
    return tuple(hash_of(one, known) for one in value)


def parameter_value(name: str, value: object) -> int:
    """Read the value of a parameter, as that one is written."""
    return parse_parameter(name, _text(value))


ent: Final = quantity(ENT)
eur: Final = quantity(EUR)
energy: Final = quantity(ENERGY)
price: Final = quantity(PRICE)
kwh_price: Final = quantity(KWH_PRICE)
rate: Final = quantity(RATE)

_WRITTEN: Final[Mapping[Reader, tuple[str, str]]] = {
    ent: ("Tokens: 7.35 ENT.", '"2 ENT"'),
    eur: ("Money: 0.5 EUR.", '"0.5 EUR"'),
    energy: ("Energy: 10 kWh, or 250 Wh.", '"10 kWh"'),
    price: ("Price: 0.5 EUR/ENT.", '"0.5 EUR/ENT"'),
    rate: ("Part of a whole: 0.95.", "0.95"),
    member: ("Address tw1…, or a home.", "tw1…"),
    member_or_none: ("Address tw1…, a home, or none.", "tw1…"),
    order: ("Id of the transaction that posted it.", "9f…"),
    integer: ("A whole number.", "1"),
    watts: ("Power in watts, or none.", "500"),
    moment: ("Duration from now: 2h, 15min, 30d.", "2h"),
    parameter_name: (f"One of {', '.join(RULES)}.", "H"),
    parameter_text: ("As that one is written: 0.3, 2h, none, mid, on.", "2h"),
    key_list: ("Keys in hex.", "9f…"),
    member_list: ("Addresses tw1…, or homes.", "tw1…"),
    word: ("A word.", "majority"),
    length: ("Duration: 2h, 15min, 30d.", "30s"),
    kwh_price: ("Price: 0.05 EUR/kWh.", '"0.05 EUR/kWh"'),
    day: ("Day: YYYY-MM-DD.", "2026-11-01"),
    hash_of: ("Digest in hex.", "9f…"),
    hash_list: ("Digests in hex.", "9f…"),
}
"""How each kind is written, and an example."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidError(f"{value!r} must be written as text, in quotes")
    return value


def _found(names: Mapping[str, T], name: str, lack: str) -> T:
    if name not in names:
        raise InvalidError(f"{lack} {name!r}")
    return names[name]
