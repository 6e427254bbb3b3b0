"""A co-signer at work beside its node: answers come from `coordinator.cosigner`, this sends them.

The lock file is written, and on disk, before the signature is handed on.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from api.http.checks import SigningState
from api.node.coordinating import write_lock
from coordinator.cosigner import CoSigner, Refused, Signed, Wait
from edge.ground.faults import pass_point
from edge.runtime import EdgeNode
from tangle.effects import Attached, Confirmed, Effect, Instant, PeerId
from tangle.errors import InvalidError, OtherLeaderError
from tangle.proposals import CoSignature, Proposal

_log: Final = structlog.get_logger(__name__)


class CoSigning:
    """One co-signer's hands. Keeps the last proposal that its node could not judge yet."""

    def __init__(self, node: EdgeNode, cosigner: CoSigner, lock_file: Path) -> None:
        """Listen to `node` from now on; `run` looks again at what had to wait."""
        self._node = node
        self._cosigner = cosigner
        self._lock_file = lock_file
        self._waiting: tuple[PeerId, Proposal] | None = None
        self._changed = asyncio.Event()
        self._refusal: str | None = None
        self._bad = 0
        node.executor.listen(self._hear)
        node.executor.observe(self._observe)

    def state(self) -> SigningState:
        """Return why this co-signer refuses what is proposed, if it does."""
        return SigningState(refusal=self._refusal)

    async def run(self) -> None:
        """Look again, whenever the tangle has grown, at what could not be judged."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._waiting is not None:
                self._answer(*self._waiting, self._node.clock.instant())

    def _hear(self, peer: PeerId, body: Proposal | CoSignature, now: Instant) -> None:
        if isinstance(body, Proposal):
            self._answer(peer, body, now)

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Confirmed):
                self._refusal = None
            if isinstance(effect, Attached | Confirmed) and self._waiting is not None:
                self._changed.set()

    def _answer(self, peer: PeerId, proposal: Proposal, now: Instant) -> None:
        try:
            answer = self._cosigner.consider(proposal, now)
        except OtherLeaderError as error:
            # No fault of the sender: while leaders change, nodes are configured one by one.
            self._bad += 1
            if self._bad & (self._bad - 1) == 0:  # whoever floods a node fills no log
                _log.warning("bad proposal", peer=peer.hex(), error=str(error), so_far=self._bad)
            return
        except InvalidError as error:
            self._node.executor.blame(peer, error, now)
            return
        match answer:
            case Signed():
                self._waiting = None
                write_lock(self._lock_file, answer.lock)
                pass_point("promise.signed")
                self._node.mesh.send(peer, answer.signature)
                pass_point("promise.sent")
            case Wait():
                self._waiting = (peer, proposal)
                _log.debug("proposal waits", why=answer.why)
            case Refused():
                self._refuse(answer.why)
            case None:
                self._waiting = None

    def _refuse(self, why: str) -> None:
        """Say it once: the leader repeats what it proposes."""
        if why != self._refusal:
            _log.warning("proposal refused", why=why)
        self._refusal = why
