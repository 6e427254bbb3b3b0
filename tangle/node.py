"""The core of every node: bytes and time go in, effects come out. No input or output, no clock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from tangle.accounts import coordinators, is_registered
from tangle.address import address_of
from tangle.contracts import Contracts, Rules
from tangle.effects import (
    Attached,
    Dropped,
    Effect,
    Expired,
    Halted,
    Instant,
    Misbehaved,
    PeerId,
    Requested,
)
from tangle.errors import (
    BadMilestoneError,
    BelowMaxDepthError,
    InvalidError,
    TooFarAheadError,
    UnknownIssuerError,
    UnknownParentsError,
)
from tangle.genesis import Genesis, entry_points, network_id
from tangle.graph import Graph
from tangle.keys import PublicKey
from tangle.ledger import Ledger, LedgerRules, genesis_state
from tangle.milestones import Basis, MilestoneInbox, draft, judge
from tangle.outcomes import State
from tangle.restored import Restored
from tangle.transaction import Milestone, Transaction, TransactionId
from tangle.verification import (
    Verified,
    parse,
    parse_again,
    verify_fields,
    verify_milestone_signatures,
    verify_witness,
)
from tangle.waiting import OWN, Arrival, HoldingRoom, WaitingRoom
from tangle.window import Weights, Window


class NodeCore:
    """Decides what to do; never does it.

    Driven by bytes from a peer (`receive`) or from here (`submit`), by what peers say of
    themselves (`heartbeat`), by the journal (`recall`) and by time (`tick`). Each call runs to
    completion and returns the effects to carry out, in order. A call that raises has changed
    nothing.
    """

    def __init__(
        self, genesis: Genesis, contracts: Contracts, restored: Restored | None = None
    ) -> None:
        """Start from genesis, or go on from what the journal holds."""
        state = genesis_state(genesis) if restored is None else restored
        self.parameters = genesis.parameters
        self.rules = Rules(network_id(genesis), genesis.parameters.work_per_byte, contracts)
        is_open = genesis.parameters.admission == "open"
        self.halted: Halted | None = state.halted
        self.evidence = _by_id(state.halted)
        """Milestones for which this node has halted, by id: to be shown to all peers."""
        self._refused = state.refused
        self.is_catching_up = False
        """Set by who fetches cones by index: nothing is asked for that these will bring."""
        self._ledger = Ledger(LedgerRules(contracts, is_open), state)
        self._is_open = is_open
        self._entry_points = entry_points(genesis)
        self._window = Window(genesis.parameters, self._entry_points, state)
        self.graph = self._window.graph
        self._waiting = WaitingRoom()
        self.holding = HoldingRoom()
        self._inbox = MilestoneInbox()
        self._milestone_due_ms: int | None = None

    # What a node shows of itself.

    @property
    def confirmed_index(self) -> int:
        """Index of the last applied milestone; 0 for genesis."""
        return self._ledger.index

    @property
    def confirmed_id(self) -> TransactionId:
        """Id of the last applied milestone; the first entry point for genesis."""
        return self._ledger.milestone_id

    @property
    def confirmed_at_ms(self) -> int:
        """Timestamp of the last applied milestone, ledger time."""
        return self._ledger.timestamp_ms

    @property
    def latest_index(self) -> int:
        """Largest milestone index seen with good signatures: how far behind this node is."""
        return max(self._inbox.highest_index, self._ledger.index)

    @property
    def state_root(self) -> bytes:
        """Root of the state after the last applied milestone."""
        return self._ledger.trie.root

    @property
    def waiting_count(self) -> int:
        """Transactions that are not solid yet, or not admitted yet."""
        return len(self._waiting) + len(self.holding)

    @property
    def ledger(self) -> Ledger:
        """The state, to be read only."""
        return self._ledger

    @property
    def waiting(self) -> WaitingRoom:
        """What waits for its parents, to be read only."""
        return self._waiting

    @property
    def basis(self) -> Basis:
        """What the next milestone is judged on, to be read only."""
        return Basis(self.graph, self._ledger, self._window.bodies, self.parameters)

    def row(self, key: bytes) -> bytes | None:
        """Return a row of the ledger's state."""
        return self._ledger.rows.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, ascending."""
        return self._ledger.rows.scan(prefix)

    def state(self, tx_id: TransactionId) -> State | None:
        """Return where a transaction stands, or `None` once referenced: the journal knows."""
        if tx_id in self.graph:
            return self._window.state(tx_id)
        return State.WAITING if self._is_kept_aside(tx_id) else State.UNKNOWN

    def pending(self, tx_id: TransactionId) -> Verified | None:
        """Return a solid transaction that no milestone references yet."""
        data = self._window.bodies.get(tx_id)
        return None if data is None else parse_again(tx_id, data)

    def pending_of(self, issuer: PublicKey) -> int:
        """Return how many solid transactions of `issuer` no milestone references yet."""
        return self._window.issuers[issuer]

    def is_known(self, tx_id: TransactionId) -> bool:
        """Return whether the id needs no second look: solid, waiting, held, judged."""
        if tx_id in self.graph or self._is_kept_aside(tx_id):
            return True
        return tx_id in self._refused or tx_id in self.evidence

    def next_deadline_ms(self) -> int | None:
        """When to call `tick`, wall time; `None` for never."""
        deadlines = (
            self._waiting.next_deadline_ms(),
            self.holding.next_deadline_ms(),
            self._milestone_due_ms,
        )
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def weights(self) -> Weights:
        """Exact cumulative weights of the graph, and walks by them."""
        return self._window.weights

    def weigh_by(self, made: Callable[[Graph], Weights]) -> None:
        """From now on keep weights in another way; the results stay the same."""
        self._window.weigh_by(made)

    # Events.

    def receive(self, peer: PeerId, data: bytes, now: Instant) -> list[Effect]:
        """Handle the canonical bytes of a transaction that `peer` sent."""
        try:
            verified = parse(data)
            if self.is_known(verified.tx_id):
                return []
            verify_fields(verified, self.rules)
            verify_witness(verified, self.rules)
        except InvalidError as error:
            # The id is not marked: only this witness, or these bytes, are bad.
            return [Misbehaved(peer, error)]
        return self._admit(Arrival(verified, peer), now)

    def accept(self, peer: PeerId, verified: Verified, now: Instant) -> list[Effect]:
        """Handle what `peer` sent and what the caller has seen pass phase 1: see `receive`."""
        return [] if self.is_known(verified.tx_id) else self._admit(Arrival(verified, peer), now)

    def submit(self, data: bytes, now: Instant) -> list[Effect]:
        """Handle a transaction handed in here: it is attached at once or refused.

        Raises:
            InvalidError: It breaks a rule for ever.
            UnavailableError: It would have to wait: for its parents, its time or its issuer.
        """
        verified = parse(data)
        if any(verified.tx_id in kept for kept in (self.graph, self._inbox, self._refused)):
            return []
        verify_fields(verified, self.rules)
        verify_witness(verified, self.rules)
        if verified.milestone is not None:
            verify_milestone_signatures(verified, coordinators(self._ledger.rows))
        else:
            # What is held or waits is not durable: it is judged anew, as if it came first here.
            self._verify_attachable(verified, now)
            self.holding.take(verified.tx_id)
        return self._admit(Arrival(verified, OWN), now)

    def heartbeat(
        self,
        peer: PeerId,
        confirmed: tuple[int, TransactionId],
        tips: Sequence[TransactionId],
        now: Instant,
    ) -> list[Effect]:
        """Compare with what a peer says it has; ask it for what is unknown here.

        Heals what a lost frame, a restart or a partition left out.

        Args:
            peer: Who speaks.
            confirmed: Index and id of its last applied milestone.
            tips: Some of its tips.
            now: This moment.
        """
        index, milestone_id = confirmed
        wanted = [] if self.is_catching_up else [one for one in tips if not self.is_known(one)]
        # Another milestone of an index applied here would be evidence against the coordinator.
        is_news = index > self._ledger.index or self.graph.milestone_id(index) is not None
        if is_news and not self.is_known(milestone_id):
            wanted.append(milestone_id)
        fresh = self._waiting.ask(wanted, peer, now.wall_ms)
        return [Requested(fresh, peer)] if fresh else []

    def recall(self, tx_id: TransactionId, referenced_index: int | None) -> list[Effect]:
        """Learn that a requested transaction lies in the journal and is too old for the graph.

        Whatever approves it is below max depth for ever, so all that waits for it leaves.

        Args:
            tx_id: The requested id.
            referenced_index: Milestone that references it; `None` if it expired.
        """
        if tx_id in self.graph:
            return []
        return self._let_go(tx_id, f"referenced by milestone {referenced_index}")

    def tick(self, now: Instant) -> list[Effect]:
        """Do what time has made due: repeat requests, admit what was ahead of the clock."""
        effects: list[Effect] = []
        for arrival in self.holding.take_due(now.wall_ms):
            effects += self._admit(arrival, now)
        again, hopeless = self._waiting.overdue(now.wall_ms)
        if again:
            effects.append(Requested(tuple(again), None))
        for tx_id in hopeless:
            dropped = self._waiting.remove_with_descendants(tx_id)
            effects += [Dropped(one, f"nobody has {tx_id.hex()}") for one in dropped]
        if self._milestone_due_ms is not None and self._milestone_due_ms <= now.wall_ms:
            self._milestone_due_ms = None
            effects += self._advance(now)
        return effects

    def draft_milestone(self, parents: Iterable[TransactionId], timestamp_ms: int) -> Transaction:
        """Return the next milestone over `parents`, unsigned, as `tangle.milestones.draft`."""
        return draft(self.basis, self.rules.network, parents, timestamp_ms)

    # Admission: may it come in now?

    def _is_kept_aside(self, tx_id: TransactionId) -> bool:
        return tx_id in self._waiting or tx_id in self.holding or tx_id in self._inbox

    def _ahead_ms(self, issued_at_ms: int, now: Instant) -> int:
        """Return by how much ledger time a claim exceeds what the network tolerates."""
        tolerated = self.parameters.max_clock_ahead_ms * self.parameters.time_scale
        return issued_at_ms - now.ledger_ms - tolerated

    def _due_ms(self, ahead_ms: int, now: Instant) -> int:
        """Return the wall time at which a claim that is `ahead_ms` too early may come in."""
        return now.wall_ms + ahead_ms // self.parameters.time_scale + 1

    def _is_registered(self, issuer: PublicKey) -> bool:
        return self._is_open or is_registered(self._ledger.rows, address_of(issuer))

    def _verify_attachable(self, verified: Verified, now: Instant) -> None:
        transaction = verified.transaction
        ahead_ms = self._ahead_ms(transaction.issued_at_ms, now)
        if ahead_ms > 0:
            raise TooFarAheadError(
                f"issued at {transaction.issued_at_ms} ms, the ledger's clock here is at "
                f"{now.ledger_ms} ms: {ahead_ms} ms more than the network tolerates"
            )
        if not self._is_registered(transaction.issuer):
            raise UnknownIssuerError(f"issuer {transaction.issuer.hex()} is not registered")
        missing = [one.hex() for one in transaction.parents if one not in self.graph]
        if missing:
            raise UnknownParentsError(f"this node does not have {' and '.join(missing)}")
        oldest = min(self.graph[one].oldest_root_index for one in transaction.parents)
        if oldest < self._ledger.index - self.parameters.max_depth:
            raise BelowMaxDepthError(
                f"it reaches back to milestone {oldest}, more than "
                f"{self.parameters.max_depth} behind {self._ledger.index}"
            )

    def _admit(self, arrival: Arrival, now: Instant) -> list[Effect]:
        transaction, tx_id = arrival.verified.transaction, arrival.verified.tx_id
        if isinstance(transaction.payload, Milestone):
            return self._admit_milestone(arrival, now)
        self._waiting.answered(tx_id)
        if not self._waiting.is_wanted(tx_id):
            ahead_ms = self._ahead_ms(transaction.issued_at_ms, now)
            if ahead_ms > 0 or not self._is_registered(transaction.issuer):
                due_ms = self._due_ms(ahead_ms, now) if ahead_ms > 0 else None
                evicted = self.holding.hold(arrival, due_ms)
                return [Dropped(one, "the room for what is early is full") for one in evicted]
        effects = self._enter([arrival], now)
        return effects if self._inbox.is_empty else effects + self._advance(now)

    # Phase 2: from bytes to solid.

    def _enter(self, arrivals: Iterable[Arrival], now: Instant) -> list[Effect]:
        """Attach what is solid and all that waited for it alone: a worklist, no recursion."""
        effects: list[Effect] = []
        queue = deque(arrivals)
        while queue:
            arrival = queue.popleft()
            tx_id = arrival.verified.tx_id
            if tx_id in self.graph or tx_id in self._waiting:
                continue
            missing = self.graph.missing(arrival.verified.transaction.parents)
            if not missing:
                effects.append(self._attach(arrival, now))
                if self._waiting.is_wanted(tx_id):
                    queue.extend(self._waiting.release(tx_id))
                continue
            if any(one in self._entry_points for one in missing):
                effects += self._let_go(tx_id, "above an entry point")
                effects.append(Dropped(tx_id, "it approves a forgotten root"))
                continue
            held = [kept for one in missing if (kept := self.holding.take(one)) is not None]
            if held:
                queue.extendleft([arrival, *held])  # what was held enters first
                continue
            effects += self._wait(arrival, missing, now)
        return effects

    def _let_go(self, tx_id: TransactionId, where: str) -> list[Effect]:
        """Let go of all that waits for what is too old; a milestone that needs it is invalid."""
        lowest = self._inbox.lowest()
        if lowest is not None and self.halted is None and self._waiting.is_needed(tx_id):
            return [self._halt([lowest], f"it reaches {tx_id.hex()}, {where}")]
        dropped = self._waiting.remove_with_descendants(tx_id)
        return [Dropped(one, "it approves what is below max depth") for one in dropped]

    def _wait(self, arrival: Arrival, missing: list[TransactionId], now: Instant) -> list[Effect]:
        if self.is_catching_up and not self._waiting.is_wanted(arrival.verified.tx_id):
            return [Dropped(arrival.verified.tx_id, "a cone or a later heartbeat brings it")]
        evicted = self._waiting.add(arrival, missing)
        effects: list[Effect] = [Dropped(one, "the waiting room is full") for one in evicted]
        self._waiting.ask_later(evicted, now.wall_ms)
        absent = [one for one in missing if not self._is_kept_aside(one)]
        if arrival.verified.tx_id not in evicted:
            peer = None if arrival.sender == OWN else arrival.sender
            fresh = self._waiting.ask(absent, peer, now.wall_ms)
            effects += [Requested(fresh, peer)] if fresh else []
        return effects

    def _attach(self, arrival: Arrival, now: Instant) -> Attached:
        verified = arrival.verified
        self._window.attach(verified, now.wall_ms)
        source = None if arrival.sender == OWN else arrival.sender
        return Attached(verified.tx_id, verified.data, source, is_milestone=False)

    # Milestones.

    def _admit_milestone(self, arrival: Arrival, now: Instant) -> list[Effect]:
        index = arrival.verified.transaction.sequence
        keys = coordinators(self._ledger.rows)
        if index <= self._ledger.index:
            return self._compare_with_applied(arrival, index)
        is_next = index == self._ledger.index + 1
        try:
            self._inbox.add(arrival, keys, is_next=is_next)
        except BadMilestoneError as error:
            return [Misbehaved(arrival.sender, error)]
        if arrival.verified.tx_id in self._inbox:
            self._waiting.answered(arrival.verified.tx_id)
        return self._advance(now)

    def _compare_with_applied(self, arrival: Arrival, index: int) -> list[Effect]:
        applied = self.graph.milestone_id(index)
        if applied is None or applied == arrival.verified.tx_id or self.halted is not None:
            return []
        probe = MilestoneInbox()
        try:
            probe.add(arrival, coordinators(self._ledger.rows), is_next=True)
        except BadMilestoneError as error:
            return [Misbehaved(arrival.sender, error)]
        return [self._halt([arrival], f"milestone {applied.hex()} of this index is applied")]

    def _advance(self, now: Instant) -> list[Effect]:
        """Apply every milestone whose turn has come and whose past cone is solid."""
        effects: list[Effect] = []
        while self.halted is None:
            keys = coordinators(self._ledger.rows)
            candidates = self._inbox.take_turn(self._ledger.index + 1, keys)
            if len(candidates) > 1:
                effects.append(self._halt(candidates, "two milestones of one index"))
                break
            if not candidates:
                effects += self._walk_back(now)
                break
            parents = candidates[0].verified.transaction.parents
            missing = [one for one in parents if one not in self.graph]
            if missing:
                effects += self._pursue(candidates[0], missing, now)
                if any(one not in self.graph for one in missing):
                    break
            ahead_ms = self._ahead_ms(candidates[0].verified.transaction.issued_at_ms, now)
            if ahead_ms > 0:
                self._milestone_due_ms = self._due_ms(ahead_ms, now)
                break
            effects += self._confirm(candidates[0], now)
        return effects

    def _walk_back(self, now: Instant) -> list[Effect]:
        """Ask for the milestone before the lowest one known, until they join up with ours."""
        lowest = self._inbox.lowest()
        if lowest is None or self.is_catching_up:
            return []
        milestone = lowest.verified.milestone
        assert milestone is not None
        previous = milestone.previous
        if self.is_known(previous):
            return []
        self._waiting.need((previous,))
        peer = None if lowest.sender == OWN else lowest.sender
        fresh = self._waiting.ask((previous,), peer, now.wall_ms)
        return [Requested(fresh, peer)] if fresh else []

    def _pursue(self, arrival: Arrival, missing: list[TransactionId], now: Instant) -> list[Effect]:
        """Get what the next milestone needs, wherever it is: held here, or at the peers."""
        self._waiting.need(missing)
        held = [kept for one in missing if (kept := self.holding.take(one)) is not None]
        effects = self._enter(held, now)
        absent = [one for one in missing if not self.is_known(one)]
        peer = None if arrival.sender == OWN else arrival.sender
        fresh = self._waiting.ask(absent, peer, now.wall_ms)
        return effects + ([Requested(fresh, peer)] if fresh else [])

    def _confirm(self, arrival: Arrival, now: Instant) -> list[Effect]:
        verified = arrival.verified
        try:
            judged = judge(verified.transaction, self.basis)
        except BadMilestoneError as error:
            return [self._halt([arrival], str(error))]
        index, milestone_id = judged.diff.index, verified.tx_id
        confirmed = judged.confirmed(verified, self._ledger.rows)
        self._ledger.commit(judged.diff, milestone_id)
        expired = self._window.reference(verified, judged.cone.order, index, now.wall_ms)
        self._inbox.forget(index)
        source = None if arrival.sender == OWN else arrival.sender
        effects: list[Effect] = [
            Attached(milestone_id, verified.data, source, is_milestone=True),
            confirmed,
            *map(Expired, expired),
        ]
        effects += self._enter(self._waiting.release(milestone_id), now)
        for stranger in self.holding.take_strangers():
            effects += self._admit_again(stranger, now)
        return effects

    def _admit_again(self, arrival: Arrival, now: Instant) -> list[Effect]:
        if not self._is_registered(arrival.verified.transaction.issuer):
            self.holding.hold(arrival, None)
            return []
        return self._enter([arrival], now)

    def _halt(self, arrivals: list[Arrival], report: str) -> Halted:
        first = arrivals[0].verified
        self.halted = Halted(
            first.transaction.sequence,
            first.tx_id,
            report,
            tuple(arrival.verified.data for arrival in arrivals),
        )
        self.evidence = _by_id(self.halted)
        return self.halted


def _by_id(halted: Halted | None) -> dict[TransactionId, bytes]:
    return {} if halted is None else {parse(data).tx_id: data for data in halted.evidence}
