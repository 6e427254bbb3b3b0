"""What a settling node keeps of its settlements: how far it is, what waits, what each came to.

Sums of homes are personal data, so they are sealed as readings are. A period, with all that is to
be reported of it, is written in one commit before anything of it is issued.
"""

import os
from typing import Final

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from edge.journal.commits import put_meta
from edge.journal.sealing import NONCE_SIZE
from edge.journal.storage import Storage
from energy.settlement.records import MemberSums, Report, UnitSums
from energy.settlement.registers import Registers
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.errors import DamagedStoreError
from tangle.hashing import digest, domain
from tangle.keys import SigningKey
from tangle.transaction import Counter

PREFIX: Final = "settlement/"
"""Of the names of the notes here."""

_STATE: Final = f"{PREFIX}state"
_PERIODS: Final = f"{PREFIX}period/"
_MAX_NOTE_SIZE: Final = 64 * 2**20
"""Some hundred thousand homes."""

_DOMAIN: Final = domain("settlement-seal")


class DeviceProgress(msgspec.Struct, frozen=True, array_like=True):
    """Up to where one device is settled."""

    device: AddressField
    counted: Registers
    from_sequence: Counter
    """No reading before it is needed any more."""


class UnitProgress(msgspec.Struct, frozen=True, array_like=True):
    """The next report of one unit."""

    unit: AddressField
    next_report: Counter


class SettlingState(msgspec.Struct, frozen=True, array_like=True):
    """Where a node stands with its settlements."""

    through_ms: Counter
    """Ledger time up to which all is settled."""

    devices: tuple[DeviceProgress, ...] = ()
    units: tuple[UnitProgress, ...] = ()
    waiting: tuple[Report, ...] = ()
    """Not known to be applied."""


class SettledPeriod(msgspec.Struct, frozen=True, array_like=True):
    """What one period came to. Never changed."""

    start_ms: Counter
    end_ms: Counter
    members: tuple[MemberSums, ...]
    units: tuple[UnitSums, ...]
    reports: tuple[Report, ...]


_states: Final = Decoder(SettlingState, "settling state", _MAX_NOTE_SIZE)
_periods: Final = Decoder(SettledPeriod, "settled period", _MAX_NOTE_SIZE)


class Settled:
    """The part of one journal that holds settlements. Raises as `Journal` does."""

    def __init__(self, storage: Storage, key: SigningKey) -> None:
        """Read and write in `storage`, sealed under a key that follows from the node's `key`."""
        self._storage = storage
        self._key = digest(_DOMAIN + key.seed)

    def state(self) -> SettlingState | None:
        """Return where settling stands, `None` before it began."""
        found = self._storage.table("meta", "WHERE name = ?", (_STATE,))
        return _states.read(self._open(*found[0])) if found else None

    def put(self, state: SettlingState, period: SettledPeriod | None = None) -> None:
        """Write the state, and a period that was settled by it, in one durable commit."""
        notes = [(_STATE, encode(state))]
        if period is not None:
            notes.append((_name(period.end_ms), encode(period)))
        with self._storage.transaction() as connection:
            for name, content in notes:
                put_meta(connection, name, self._seal(name, content))

    def periods(self, from_ms: int, to_ms: int) -> list[SettledPeriod]:
        """Return the settled periods that end after `from_ms` and not after `to_ms`, in order."""
        names = (_name(from_ms), _name(to_ms))
        found = self._storage.table("meta", "WHERE name > ? AND name <= ? ORDER BY name", names)
        return [_periods.read(self._open(*one)) for one in found]

    def _seal(self, name: str, content: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        bound = name.encode("ascii")
        sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            content, bound, nonce, self._key
        )
        return nonce + sealed

    def _open(self, name: str, value: bytes) -> bytes:
        nonce, sealed, bound = value[:NONCE_SIZE], value[NONCE_SIZE:], name.encode("ascii")
        try:
            return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed, bound, nonce, self._key
            )
        except (CryptoError, ValueError) as error:
            raise DamagedStoreError(f"note {name} does not open with this node's key") from error


def _name(end_ms: int) -> str:
    return f"{_PERIODS}{end_ms:016x}"
