"""Carries out what the core decides, in the one safe order: journal first, then tell.

Whatever a peer, a meter or a wallet hears of is on disk already, so a kill at any instant takes
back nothing that was said.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

import structlog

from edge.ground.faults import pass_point
from edge.journal.entries import Batch, FormedBatch, TakenReading, batch_of
from edge.journal.journal import Journal
from edge.mesh.frames import (
    MAX_HEARTBEAT_TIPS,
    Body,
    ConeRequest,
    Heartbeat,
    Request,
    Transactions,
    split,
    split_request,
)
from edge.mesh.mesh import PeerStatus
from edge.mesh.offers import SnapshotBody
from edge.mesh.slot_sums import SumsAnswer, SumsBody, SumsQuery
from edge.node.admission import Admission
from edge.node.answer_budget import AnswerBudget
from edge.node.catch_up import CatchUp, Progress
from edge.node.checking import Checked, check
from edge.node.fair_queue import TURN_BYTES, Queued
from edge.node.news import news
from edge.node.pace import MOST
from edge.node.serving import ConeServer, Outlet
from edge.node.standing import Standings
from tangle.effects import (
    Attached,
    Confirmed,
    Dropped,
    Effect,
    Expired,
    Halted,
    Instant,
    Misbehaved,
    PeerId,
    Requested,
)
from tangle.errors import InvalidError
from tangle.node import NodeCore
from tangle.outcomes import State
from tangle.proposals import CoSignature, Proposal
from tangle.transaction import TransactionId
from tangle.verification import parse

_log: Final = structlog.get_logger(__name__)

Observer = Callable[[Sequence[Effect]], None]
"""Is told what happened once it is durable; must not wait and must not fail."""

Listener = Callable[[PeerId, Proposal | CoSignature, Instant], None]
"""Is told what a peer said of a milestone to be; must not wait. Whoever signs milestones."""

SnapshotListener = Callable[[PeerId, SnapshotBody, Instant], None]
"""Is told what a peer said of snapshots; must not wait."""

SumsListener = Callable[[PeerId, SumsBody, Instant], None]
"""Is told what a peer said of slot sums; must not wait."""


class Gossip(Outlet, Protocol):
    """What the executor needs of the mesh."""

    def broadcast(self, body: Body) -> None:
        """Send to every peer; never waits."""
        ...

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return the configured peers, in order of configuration."""
        ...

    def ban(self, peer: PeerId, until_wall_ms: int) -> None:
        """Drop what `peer` sends, until then."""
        ...


_Besides = Proposal | CoSignature | SnapshotBody | SumsBody


@dataclass(slots=True)
class _Said:
    """What came of the frames of one turn."""

    effects: list[Effect] = field(default_factory=list)
    arrivals: list[Queued] = field(default_factory=list)
    """Whose turn it is."""

    requests: list[tuple[PeerId, Request]] = field(default_factory=list)
    besides: list[tuple[PeerId, _Besides]] = field(default_factory=list)


class Executor:
    """One node's hands. Synchronous: one call is one durable commit, and nothing interleaves."""

    def __init__(self, core: NodeCore, journal: Journal, gossip: Gossip, rng: Random) -> None:
        self.core = core
        self.journal = journal
        self.counts: Counter[str] = Counter()
        """`attached`, `confirmed`, `misbehaved`, `banned`, `dropped`, `overflowed`, `expired`,
        `requested`, `answered`, `unanswered`."""

        self.announced: dict[PeerId, int] = {}
        """Last milestone that each peer said it had applied."""

        self.oldest_cones: dict[PeerId, int] = {}
        """Smallest milestone index whose cone each peer said it can give."""

        self.holds_back: Callable[[], bool] = lambda: False
        """Whether history is not to be fetched now: a snapshot may spare it."""

        self.standings = Standings()
        self.admission = Admission(core)
        self.catch_up = CatchUp()
        self._answers = AnswerBudget()
        self.cones = ConeServer(journal, gossip, self._answers)
        self._heard: deque[tuple[PeerId, Body]] = deque()
        self._gossip = gossip
        self._rng = rng
        self._observers: list[Observer] = []
        self._listeners: list[Listener] = []
        self._snapshot_listeners: list[SnapshotListener] = []
        self._sums_listeners: list[SumsListener] = []

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of all effects from now on."""
        self._observers.append(observer)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of all proposals and co-signatures from now on."""
        self._listeners.append(listener)

    def listen_snapshots(self, listener: SnapshotListener) -> None:
        """Tell `listener` of all that peers say of snapshots from now on."""
        self._snapshot_listeners.append(listener)

    def listen_sums(self, listener: SumsListener) -> None:
        """Tell `listener` of all that peers say of slot sums from now on."""
        self._sums_listeners.append(listener)

    def hear(self, frames: Iterable[tuple[PeerId, Body]], now: Instant, most: int = MOST) -> None:
        """Handle some of what peers said, all in one commit, then answer their requests.

        As `sort` and `take_in` do in two steps, with the verdicts of phase 1 computed in between.
        """
        said = self._listen(frames, now, most, TURN_BYTES)
        self.admission.begin_check(said.arrivals)
        said.effects += self._accept(check(said.arrivals, self.core.rules), now)
        self._conclude(said, now)

    def sort(
        self,
        frames: Iterable[tuple[PeerId, Body]],
        now: Instant,
        most: int = MOST,
        turn_bytes: int = TURN_BYTES,
    ) -> list[Queued]:
        """Handle some of what peers said, but for the transactions whose turn it is: return these.

        What is more than `most` transactions is left to the next call; see `is_behind`. They wait
        in the fair queue, of which the call that leaves nothing serves one turn; see `is_busy`.
        That queue is fair, what lies before it is not: so all is taken in first.

        Returns:
            What is to be checked and handed to `take_in`, in this order and none left out.
        """
        said = self._listen(frames, now, most, turn_bytes)
        self.admission.begin_check(said.arrivals)
        self._conclude(said, now)
        return said.arrivals

    def take_in(self, checked: Sequence[Checked], now: Instant) -> None:
        """Hand the core what passed phase 1, all in one commit, and blame who sent the rest."""
        self.carry_out(self._accept(checked, now), now)
        self._steer(now)  # history that came in makes room for more

    def _listen(
        self,
        frames: Iterable[tuple[PeerId, Body]],
        now: Instant,
        most: int,
        turn_bytes: int,
    ) -> "_Said":
        self._heard.extend(frames)
        said = _Said()
        while self._heard and most > 0:
            peer, body = self._heard.popleft()
            if self._is_banned(peer, now):
                continue
            if isinstance(body, Transactions):
                items, rest = body.items[:most], body.items[most:]
                if rest:
                    self._heard.appendleft((peer, Transactions(rest)))
                most -= len(items)
                self.catch_up.received(peer, sum(map(len, items)), now.wall_ms)
                self._arrive(peer, items, now, said)
            else:
                self._listen_to(peer, body, now, said)
        if not self.is_behind:
            said.arrivals += self.admission.turn(turn_bytes)
        return said

    def _conclude(self, said: "_Said", now: Instant) -> None:
        self.carry_out(said.effects, now)
        self._answer_all(said.requests, now)
        self._steer(now)
        self._pass_on(said.besides, now)

    def _listen_to(
        self,
        peer: PeerId,
        body: Request | Heartbeat | ConeRequest | _Besides,
        now: Instant,
        said: "_Said",
    ) -> None:
        """Note what a peer said of itself, asks for, or says of what others here listen to."""
        match body:
            case Heartbeat():
                self.announced[peer] = body.confirmed_index
                self.oldest_cones[peer] = body.oldest_cone
                self.catch_up.heard(peer, body.confirmed_index, body.oldest_cone)
                confirmed = (body.confirmed_index, TransactionId(body.confirmed_id))
                tips = tuple(map(TransactionId, body.tips))
                said.effects += self.core.heartbeat(peer, confirmed, tips, now)
            case Request():
                said.requests.append((peer, body))
            case ConeRequest():
                self.cones.ask(peer, body.index)
            case _:
                said.besides.append((peer, body))

    def _answer_all(self, requests: Sequence[tuple[PeerId, Request]], now: Instant) -> None:
        for peer, request in requests:
            self._answer(peer, request, now)
        has_time = not (self.is_behind or self.is_busy)
        self.counts["answered"] += self.cones.serve(now.wall_ms, has_time=has_time)

    def _pass_on(self, said: Sequence[tuple[PeerId, _Besides]], now: Instant) -> None:
        for peer, body in said:
            if isinstance(body, Proposal | CoSignature):
                for listener in self._listeners:
                    listener(peer, body, now)
            elif isinstance(body, SumsQuery | SumsAnswer):
                for listens in self._sums_listeners:
                    listens(peer, body, now)
            else:
                for hears in self._snapshot_listeners:
                    hears(peer, body, now)

    def _is_banned(self, peer: PeerId, now: Instant) -> bool:
        return self.standings.banned_until_ms(peer, now.wall_ms) is not None

    @property
    def is_behind(self) -> bool:
        """Whether frames were handed to `hear` that it has not handled yet."""
        return bool(self._heard)

    @property
    def is_busy(self) -> bool:
        """Whether something waits that a further call of `hear` would serve at once."""
        return self.admission.is_busy

    def _arrive(self, peer: PeerId, items: Sequence[bytes], now: Instant, said: "_Said") -> None:
        """Let transactions wait for their turn; history has none, it goes as it comes."""
        admission, is_known = self.admission, self.core.is_known
        is_history = admission.is_catching_up()
        for data in items:
            try:
                parsed = parse(data)
            except InvalidError as error:
                said.effects.append(self._misbehaved(peer, error, now))
                if self._is_banned(peer, now):
                    return
                continue
            if is_history:
                if not is_known(parsed.tx_id):
                    said.arrivals.append(Queued(peer, None, parsed))
                continue
            gone = admission.offer(peer, parsed)
            if gone:
                self.counts["overflowed"] += len(gone)
                said.effects += [Dropped(one.tx_id, "the queue is full") for one in gone]

    def _accept(self, checked: Sequence[Checked], now: Instant) -> list[Effect]:
        """Hand the core what passed; a sender banned meanwhile is heard no more."""
        self.admission.end_check([one.queued for one in checked])
        effects: list[Effect] = []
        accept = self.core.accept
        banned = {
            one for one in {each.queued.peer for each in checked} if self._is_banned(one, now)
        }
        for one in checked:
            queued = one.queued
            if queued.peer in banned:
                continue
            if one.error is None:
                told = accept(queued.peer, queued.verified, now)
            else:
                told = [Misbehaved(queued.peer, one.error)]
            effects += told
            for effect in told:
                if isinstance(effect, Misbehaved):
                    self._lower(effect, now)
                    banned |= {effect.peer} if self._is_banned(effect.peer, now) else set()
        return effects

    def _misbehaved(self, peer: PeerId, error: InvalidError, now: Instant) -> Misbehaved:
        effect = Misbehaved(peer, error)
        self._lower(effect, now)
        return effect

    def blame(self, peer: PeerId, error: InvalidError, now: Instant) -> None:
        """Lower the standing of a peer that signed what is invalid; log it."""
        self._warn_rarely("misbehaved", peer=peer.hex(), error=str(error))
        self._lower(Misbehaved(peer, error), now)

    def _lower(self, effect: Misbehaved, now: Instant) -> None:
        until_ms = self.standings.lower(effect.peer, effect.error, now.wall_ms)
        if until_ms is not None:
            self.counts["banned"] += 1
            self._gossip.ban(effect.peer, until_ms)
            self.admission.forget(effect.peer)
            _log.warning(
                "peer banned",
                peer=effect.peer.hex(),
                for_s=(until_ms - now.wall_ms) // 1_000,
                error=str(effect.error),
            )

    def heartbeat(self, version: str) -> Heartbeat:
        """Return what this node says of itself: where it stands, and some of its tips.

        Which tips is left to chance, so that each is named sooner or later however many there
        are; what is below max depth is of no use to anyone. A node that has halted names what it
        halted for first, so that whoever applied another milestone of that index hears of it.
        """
        core = self.core
        useful = [tip for tip in sorted(core.graph.tips) if core.state(tip) is State.TIP]
        self._rng.shuffle(useful)
        named = tuple([*sorted(core.evidence), *useful][:MAX_HEARTBEAT_TIPS])
        oldest = self.journal.oldest_cone()
        return Heartbeat(core.confirmed_index, core.confirmed_id, named, version, oldest)

    def progress(self) -> Progress:
        """Return how far behind this node is, as far as it knows."""
        said, core = self.catch_up.progress(), self.core
        behind = max(said.behind, core.latest_index - core.confirmed_index)
        if self.holds_back():
            known = max(self.announced.values(), default=0)  # nothing else is asked meanwhile
            behind = max(behind, known - core.confirmed_index)
        return Progress(behind, said.estimate_ms, said.is_stranded)

    def carry_out(
        self,
        effects: Sequence[Effect],
        now: Instant,
        *,
        readings: tuple[TakenReading, ...] = (),
        formed: tuple[FormedBatch, ...] = (),
    ) -> None:
        """Do what the core asks, with `readings` and `formed` in the same durable commit.

        Raises:
            StorageError: Nothing of it is durable and nobody has heard of it; the core is
                ahead of the journal, so the node must stop.
        """
        batch = batch_of(effects, now.wall_ms, readings, formed)
        if batch != Batch():
            self.journal.commit(batch, is_synced=not self._is_history(batch, effects))
        pass_point("gossip.before")
        self._tell(effects)
        pass_point("gossip.after")
        for observer in self._observers:
            observer(effects)
        wanted: dict[PeerId | None, dict[TransactionId, None]] = {}
        for effect in effects:
            if isinstance(effect, Requested):
                wanted.setdefault(effect.peer, {}).update(dict.fromkeys(effect.tx_ids))
        for peer, tx_ids in wanted.items():
            self._request(peer, tuple(tx_ids), now)

    def _is_history(self, batch: Batch, effects: Sequence[Effect]) -> bool:
        """Return whether all in it came from peers while this node catches up.

        Nobody was told that it is here, and the peers have it: a power cut may take it back.
        """
        if not self.core.is_catching_up or batch.readings or batch.formed or batch.halted:
            return False
        return all(one.source is not None for one in effects if isinstance(one, Attached))

    def _steer(self, now: Instant) -> None:
        """Ask for cones while this node is far behind, and tell the core that they come."""
        core = self.core
        if self.holds_back():
            core.is_catching_up = core.halted is None  # nor does the core ask for it by itself
            return
        connected = self._connected(now)
        self._rng.shuffle(connected)
        wanted = self.catch_up.plan(core.confirmed_index, core.latest_index, connected, now.wall_ms)
        core.is_catching_up = self.catch_up.is_under_way and core.halted is None
        if core.is_catching_up:
            for one in wanted:
                self._gossip.send(one.peer, ConeRequest(one.index))

    def _tell(self, effects: Sequence[Effect]) -> None:
        attached = [effect for effect in effects if isinstance(effect, Attached)]
        if attached:
            self.counts["attached"] += len(attached)
        for effect in effects:
            match effect:
                case Attached() | Requested():
                    pass
                case Confirmed():
                    self.counts["confirmed"] += len(effect.outcomes)
                case Misbehaved(peer, error):
                    self._warn_rarely("misbehaved", peer=peer.hex(), error=str(error))
                case Dropped(tx_id, reason):
                    self._warn_rarely("dropped", tx_id=tx_id.hex(), reason=reason)
                case Expired(tx_id):
                    self.counts["expired"] += 1
                    _log.info("transaction expired", tx_id=tx_id.hex())
                case Halted():
                    _log.error(
                        "confirmation stopped: an operator must decide",
                        milestone_index=effect.index,
                        milestone_id=effect.milestone_id.hex(),
                        report=effect.report,
                    )
        for body in split(news(self.core, attached)):
            self._gossip.broadcast(body)

    def _warn_rarely(self, name: str, **said: str) -> None:
        """Count, and say so at the 1st, 2nd, 4th … time: whoever floods a node fills no log."""
        self.counts[name] += 1
        so_far = self.counts[name]
        if so_far & (so_far - 1) == 0:
            _log.warning(name, **said, so_far=so_far)

    def _connected(self, now: Instant) -> list[PeerId]:
        return [
            one.peer
            for one in self._gossip.peers()
            if one.is_connected and not self._is_banned(one.peer, now)
        ]

    def _request(
        self, source: PeerId | None, tx_ids: Sequence[TransactionId], now: Instant
    ) -> None:
        """Look here first: what waits its turn is hastened, what is journalled is too old."""
        absent = []
        for tx_id in tx_ids:
            if tx_id in self.core.graph or self.admission.hasten(tx_id):
                continue
            is_known, index = self.journal.is_known(tx_id)
            if is_known:
                self.carry_out(self.core.recall(tx_id, index), now)
            else:
                absent.append(tx_id)
        connected = self._connected(now)
        if not absent or not connected:
            return  # asked for again when the request is overdue
        peer = source if source in connected else self._rng.choice(connected)
        for body in split_request(absent):
            self.counts["requested"] += len(body.ids)
            self._gossip.send(peer, body)

    def _answer(self, peer: PeerId, request: Request, now: Instant) -> None:
        """Send what is here of what a peer asked for, as far as its budget goes."""
        found = []
        for tx_id in map(TransactionId, request.ids):
            data = self._known_bytes(tx_id)
            if data is None:
                continue
            if not self._answers.take(peer, len(data), now.wall_ms):
                self.counts["unanswered"] += 1
                break
            found.append(data)
        self.counts["answered"] += len(found)
        for body in split(found):
            self._gossip.send(peer, body)

    def _known_bytes(self, tx_id: TransactionId) -> bytes | None:
        pending = self.core.pending(tx_id)
        if pending is not None:
            return pending.data
        stored = self.journal.transaction(tx_id)
        return self.core.evidence.get(tx_id) if stored is None else stored.data
