"""Fault points: the places where a kill could tear something apart, so that a test can kill there.

`TANGLEWATT_FAULT=NAME:COUNT` in the environment of a process makes it send SIGKILL to itself when
it passes the point NAME for the COUNT-th time. Without it a point is one comparison.
"""

import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "TANGLEWATT_FAULT"

POINTS: Final[Mapping[str, str]] = {
    "journal.begin": "a commit has begun and written nothing",
    "journal.written": "a commit is written and not yet durable",
    "journal.durable": "a commit is durable and nobody has heard of it",
    "gossip.before": "effects are durable and not yet told to peers",
    "gossip.after": "peers were told, observers and requests were not",
    "join.chunk": "a chunk of a snapshot is written, and perhaps not all of them",
    "join.checked": "a snapshot is here and checked, and the journal is the old one",
    "join.loaded": "the journal goes on from the snapshot, whose file has no name yet",
    "receipt.before": "a reading is journalled and its receipt not published",
    "receipt.after": "the receipt is published",
    "lock.before": "a milestone is signed and the lock is the old one",
    "lock.draft": "the new lock is synced under another name",
    "lock.renamed": "the new lock has its name, the folder is not synced",
    "milestone.signed": "the lock is durable and the milestone not sent",
    "milestone.sent": "the milestone is durable and sent",
    "outbox.store.before": "a meter has read its registers and kept nothing",
    "outbox.store.written": "readings are written and not yet durable",
    "outbox.store.after": "readings are durable and not yet posted",
    "outbox.forget.before": "a receipt came and nothing is forgotten",
    "outbox.forget.written": "the forgetting is written and not yet durable",
    "outbox.forget.after": "the readings are forgotten",
    "key.before": "a key was made and no file",
    "key.written": "a key file is synced under another name",
    "key.named": "a key file has its name, the folder is not synced",
    "netting.before": "a period of the homes here is netted and nothing of it is kept",
    "netting.after": "its sums are durable, and nobody is told of them",
    "sums.before": "sums are owed, durably, and a part of them is not told yet",
    "settlement.before": "a period of a unit is settled and nothing of it is kept",
    "settlement.after": "the period and its reports are durable, and none is issued",
    "sequence.before": "a wallet's number is not noted",
    "sequence.written": "the number is noted and not synced",
    "sequence.after": "the number is noted and not used",
    "proposal.locked": "the lock names a proposal that no co-signer has heard of",
    "proposal.sent": "the proposal is sent",
    "promise.signed": "a co-signer's lock is durable and its signature not sent",
    "promise.sent": "the co-signer's signature is sent",
    "file.written": "a file of `init`, a wallet or a certificate is synced under another name",
    "file.named": "the file has its name, the folder is not synced",
    "snapshot.draft": "a snapshot is synced under another name",
    "snapshot.named": "a snapshot has its name, the folder is not synced",
    "prune.marked": "what is to be pruned is marked and still there",
    "prune.step": "a part of it is deleted",
    "backup.synced": "a backup is whole and checked, and has no name",
    "backup.named": "a backup has its name, the folder is not synced",
    "restore.copied": "another journal lies in the folder and is not its journal yet",
    "restore.ready": "the other journal is to be the folder's, the old one is still there",
    "restore.aside": "the old journal is moved aside, the other one has not its name",
    "restore.named": "the other journal has its name, the folder is not synced",
}
"""Every point, and what is true there."""

PassPoint = Callable[[str], None]


class Fault:
    """The one fault that is switched on, if any, and how often its point was passed."""

    def __init__(self, environment: Mapping[str, str], kill: Callable[[], None]) -> None:
        """Read which fault is switched on.

        Raises:
            AssertionError: There is no such point, or the count is no number above 0.
        """
        self._name, _, count = environment.get(VARIABLE, ":1").partition(":")
        self._left = int(count or "1")
        self._kill = kill
        assert not self._name or self._name in POINTS, f"{VARIABLE}: no point {self._name!r}"
        assert self._left > 0, f"{VARIABLE}: count {self._left}"

    def pass_point(self, name: str) -> None:
        """End the process here if this is the passage that was asked for."""
        if name != self._name:
            return
        self._left -= 1
        if not self._left:
            self._kill()


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


pass_point: Final[PassPoint] = Fault(os.environ, _kill_self).pass_point
"""Of this process."""
