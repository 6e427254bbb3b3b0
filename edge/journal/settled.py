"""What a node keeps of its settlements: how far it is, what others are owed, what it came to.

Sums of homes are personal data, so they are sealed as readings are. What belongs together is
written in one commit: up to where meters are counted with the sums that come of it; a unit's
period with all its reports, before anything of it is issued.
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from edge.journal.commits import put_meta
from edge.journal.sealing import NONCE_SIZE
from edge.journal.storage import Storage, Value
from edge.journal.sums import Row
from energy.settlement.records import MemberDay, Report, SharedDay, UnitDay
from energy.settlement.registers import Registers
from energy.settlement.sums import SlotSums
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.errors import DamagedStoreError
from tangle.hashing import digest, domain
from tangle.keys import SigningKey
from tangle.transaction import Counter

PREFIX: Final = "settlement/"
"""Of the names of the notes here."""

_HOME: Final = f"{PREFIX}home"
_PERIODS: Final = f"{PREFIX}metered/"
_UNITS: Final = f"{PREFIX}unit/"
_SHARED: Final = f"{PREFIX}shared/"
_OWED: Final = f"{PREFIX}owed/"
_NAMED: Final = f"{PREFIX}named/"
_TIME_DIGITS: Final = 16
_MAX_NOTE_SIZE: Final = 64 * 2**20
"""Some hundred thousand homes."""

_DOMAIN: Final = domain("settlement-seal")


class DeviceProgress(msgspec.Struct, frozen=True, array_like=True):
    """Up to where one device is counted."""

    device: AddressField
    counted: Registers
    from_sequence: Counter
    """No reading before it is needed any more."""


class HomeState(msgspec.Struct, frozen=True, array_like=True):
    """Where a node stands with the meters homed there."""

    through_ms: Counter
    """Ledger time up to which all is netted: what comes later counts later."""

    devices: tuple[DeviceProgress, ...] = ()
    began_ms: Counter = 0
    """Ledger time at which settling began here: what was metered before concerns nobody."""


class HomeProgress(msgspec.Struct, frozen=True, array_like=True):
    """Up to where the sums of one home edge are counted."""

    home: AddressField
    through_ms: Counter
    is_done: bool = False
    """Nobody homed there names this node any more, and all that was fixed before is counted."""


class UnitState(msgspec.Struct, frozen=True, array_like=True):
    """Where the settling edge of a unit stands with it."""

    unit: AddressField
    through_ms: Counter
    """Ledger time up to which it is settled."""

    next_report: Counter
    homes: tuple[HomeProgress, ...] = ()
    """Of every home edge whose sums were counted: what is older is never counted again."""

    waiting: tuple[Report, ...] = ()
    """Not known to be applied."""


class LateMeter(msgspec.Struct, frozen=True, array_like=True):
    """A meter that had not told of all of a period when that was netted."""

    device: AddressField
    counted_ms: Counter
    """Up to which reading of it was counted: what is after that is in the next period."""


class SettledPeriod(msgspec.Struct, frozen=True, array_like=True):
    """What one period came to for those whose meters are homed here. Never changed."""

    start_ms: Counter
    end_ms: Counter
    members: tuple[MemberDay, ...]
    late: tuple[LateMeter, ...] = ()


class MissingHome(msgspec.Struct, frozen=True, array_like=True):
    """A home edge whose sums a period was settled without, and for whom."""

    home: AddressField
    members: tuple[AddressField, ...]


class SharedPeriod(msgspec.Struct, frozen=True, array_like=True):
    """What one period of a unit that is settled here came to. Never changed."""

    unit: AddressField
    start_ms: Counter
    end_ms: Counter
    members: tuple[SharedDay, ...]
    """All members of the unit, wherever their meters are homed."""

    own: tuple[UnitDay, ...]
    reports: tuple[Report, ...]
    missing: tuple[MissingHome, ...] = ()


class OwedSums(msgspec.Struct, frozen=True):
    """Sums of one period that the settling edge of a unit is to be told."""

    unit: Address
    settler: Address
    end_ms: int
    sums: SlotSums


_homes: Final = Decoder(HomeState, "settling state", _MAX_NOTE_SIZE)
_units: Final = Decoder(UnitState, "settling state of a unit", _MAX_NOTE_SIZE)
_periods: Final = Decoder(SettledPeriod, "settled period", _MAX_NOTE_SIZE)
_shared: Final = Decoder(SharedPeriod, "settled period of a unit", _MAX_NOTE_SIZE)
_sums: Final = Decoder(SlotSums, "slot sums", _MAX_NOTE_SIZE)


class Tables(Protocol):
    """What is read here of a journal, in use or not."""

    def table(self, name: str, rest: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return rows of a table, each held against its checksum."""
        ...


class SettledRecords:
    """The settlements in a journal, to be read. Raises as `Journal` does."""

    def __init__(self, tables: Tables, key: SigningKey) -> None:
        """Read in `tables`, sealed under a key that follows from the node's `key`."""
        self._tables = tables
        self._key = digest(_DOMAIN + key.seed)

    def home(self) -> HomeState | None:
        """Return where the meters homed here stand, `None` before settling began."""
        found = self._note(_HOME)
        return None if found is None else _homes.read(found)

    def unit(self, unit: Address) -> UnitState | None:
        """Return where a unit stands, `None` before its settling began."""
        found = self._note(_UNITS + unit.hex())
        return None if found is None else _units.read(found)

    def periods(self, from_ms: int, to_ms: int) -> list[SettledPeriod]:
        """Return the settled periods that end after `from_ms` and not after `to_ms`, in order."""
        return [_periods.read(one) for _, one in self._between(_PERIODS, from_ms, to_ms)]

    def shared(self, from_ms: int, to_ms: int) -> list[SharedPeriod]:
        """Return the periods of units settled here, as `periods` does; of one end by unit."""
        return [_shared.read(one) for _, one in self._between(_SHARED, from_ms, to_ms)]

    def _note(self, name: str) -> bytes | None:
        found = self._tables.table("meta", "WHERE name = ?", (name,))
        return self._open(*found[0]) if found else None

    def _between(self, prefix: str, from_ms: int, to_ms: int) -> list[tuple[str, bytes]]:
        # "~" comes after all that may follow a time in a name
        bounds = (f"{prefix}{_time(from_ms)}~", f"{prefix}{_time(to_ms)}~")
        found = self._tables.table("meta", "WHERE name > ? AND name < ? ORDER BY name", bounds)
        return [(name, self._open(name, value)) for name, value in found]

    def _open(self, name: str, value: bytes) -> bytes:
        nonce, sealed, bound = value[:NONCE_SIZE], value[NONCE_SIZE:], name.encode("ascii")
        try:
            return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed, bound, nonce, self._key
            )
        except (CryptoError, ValueError) as error:
            raise DamagedStoreError(f"note {name} does not open with this node's key") from error


class Settled(SettledRecords):
    """The part of one journal that holds settlements. Raises as `Journal` does."""

    def __init__(self, storage: Storage, key: SigningKey) -> None:
        """Read and write in `storage`, sealed under a key that follows from the node's `key`."""
        super().__init__(storage, key)
        self._storage = storage

    def put_home(
        self, state: HomeState, period: SettledPeriod | None = None, owed: Iterable[OwedSums] = ()
    ) -> None:
        """Write in one durable commit how far meters are counted, and what came of it."""
        notes = [(_HOME, encode(state))]
        if period is not None:
            notes.append((_PERIODS + _time(period.end_ms), encode(period)))
        for one in owed:
            notes.append((_owed(one.unit, one.settler) + _time(one.end_ms), encode(one.sums)))
            notes.append((_named(one.unit, one.settler), encode(one.end_ms)))
        with self._storage.transaction() as connection:
            self._put(connection, notes)

    def put_unit(self, state: UnitState, own: Address, period: SharedPeriod | None = None) -> None:
        """Write where a unit stands, and a period that was settled by it, in one durable commit.

        What this node itself owed for it goes, as far as it is counted.

        Args:
            state: Of the unit.
            own: Address of this node.
            period: What was settled.
        """
        notes = [(_UNITS + state.unit.hex(), encode(state))]
        if period is not None:
            name = _SHARED + _time(period.end_ms) + state.unit.hex()
            notes.append((name, encode(period)))
        counted = {one.home: one.through_ms for one in state.homes}
        with self._storage.transaction() as connection:
            self._put(connection, notes)
            _forget(connection, _owed(state.unit, own), counted.get(own, 0))

    def owed(
        self, unit: Address, settler: Address, after_ms: int, to_ms: int
    ) -> list[tuple[int, SlotSums]]:
        """Return what is owed for periods that end after `after_ms` and not after `to_ms`.

        Returns:
            When each period ended, and its sums, in order.
        """
        prefix = _owed(unit, settler)
        found = self._between(prefix, after_ms, to_ms)
        return [(_time_in(name, prefix), _sums.read(one)) for name, one in found]

    def owed_ends(self, unit: Address, settler: Address, after_ms: int, most: int) -> list[int]:
        """Return when the first periods ended, after a time, for which sums are owed; in order."""
        prefix = _owed(unit, settler)
        query = "SELECT name FROM meta WHERE name > ? AND name < ? ORDER BY name LIMIT ?"
        names = self._storage.rows(query, (prefix + _time(after_ms), f"{prefix}~", most))
        return [_time_in(name, prefix) for (name,) in names]

    def was_named(self, unit: Address, settler: Address) -> bool:
        """Return whether sums for a unit were ever fixed for a settling edge."""
        return self._note(_named(unit, settler)) is not None

    def debts(self) -> dict[tuple[Address, Address], int]:
        """Return how many periods are owed, by unit and its settling edge."""
        query = (
            "SELECT rtrim(substr(name, 1, length(name) - ?), '/'), count(*) FROM meta"
            " WHERE name > ? AND name < ? GROUP BY 1"
        )
        found: dict[tuple[Address, Address], int] = {}
        for name, count in self._storage.rows(query, (_TIME_DIGITS, _OWED, f"{_OWED}~")):
            unit, settler = name.removeprefix(_OWED).split("/")
            found[Address(bytes.fromhex(unit)), Address(bytes.fromhex(settler))] = count
        return found

    def forget_owed(self, unit: Address, settler: Address, through_ms: int) -> None:
        """Delete what is owed for periods that end by a time: it is counted, or nobody wants it."""
        if any(end_ms <= through_ms for end_ms in self.owed_ends(unit, settler, 0, 1)):
            with self._storage.transaction() as connection:
                _forget(connection, _owed(unit, settler), through_ms)

    def _put(self, connection: sqlite3.Connection, notes: Sequence[tuple[str, bytes]]) -> None:
        for name, content in notes:
            put_meta(connection, name, self._seal(name, content))

    def _seal(self, name: str, content: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        bound = name.encode("ascii")
        sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            content, bound, nonce, self._key
        )
        return nonce + sealed


def _forget(connection: sqlite3.Connection, prefix: str, through_ms: int) -> None:
    connection.execute(
        "DELETE FROM meta WHERE name > ? AND name <= ?", (prefix, prefix + _time(through_ms))
    )


def _owed(unit: Address, settler: Address) -> str:
    return f"{_OWED}{unit.hex()}/{settler.hex()}/"


def _named(unit: Address, settler: Address) -> str:
    return f"{_NAMED}{unit.hex()}/{settler.hex()}"


def _time(at_ms: int) -> str:
    return f"{at_ms:0{_TIME_DIGITS}x}"


def _time_in(name: str, prefix: str) -> int:
    return int(name.removeprefix(prefix), 16)
