"""What people have issued and not heard of yet, on disk before it is sent.

Who acts on what it sees must not act again while its last act is under way: a banker that was
killed between sending and hearing would pay twice.
"""

from pathlib import Path
from typing import Final

import msgspec

from api.settings.private_files import replace_file

MAX_FILE_SIZE: Final = 2**20


class Issued(msgspec.Struct, frozen=True):
    """One transaction under way."""

    actor: str
    tx_id: str
    sequence: int
    index: int
    """Last applied milestone when it was issued: much later it can be referenced no more."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    issued: tuple[Issued, ...] = ()


class InFlight:
    """The transactions under way of all people that one process plays."""

    def __init__(self, file: Path, network: str) -> None:
        """Take up what an earlier process left; of another network nothing."""
        self._file = file
        self._network = network
        self.issued = _read(file, network)

    def is_free(self, actor: str) -> bool:
        """Return whether somebody has nothing under way."""
        return all(one.actor != actor for one in self.issued)

    def add(self, issued: Issued) -> None:
        """Note a transaction durably, before anybody has it. Raises `CommandError`."""
        self.issued = (*self.issued, issued)
        content = msgspec.json.encode(_File(self._network, self.issued))
        replace_file(self._file, content)

    def drop(self, issued: Issued) -> None:
        """Forget a transaction whose end is known; the file may forget it later."""
        self.issued = tuple(one for one in self.issued if one != issued)


def _read(file: Path, network: str) -> tuple[Issued, ...]:
    try:
        with file.open("rb") as stream:
            held = msgspec.json.decode(stream.read(MAX_FILE_SIZE), type=_File)
    except FileNotFoundError:
        return ()
    return held.issued if held.network == network else ()
