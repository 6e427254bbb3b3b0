"""What must hold in a simulated world, each rule by its name, checked at every milestone.

`Watch` sees every milestone that becomes durable on any node. It keeps a second ledger of its own,
made of nothing but sums, so that it does not believe the code it watches.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from energy.transfer import CONTRACT as TRANSFER
from energy.transfer import TransferEeuro
from tangle.accounts import Token, balance, balance_key
from tangle.address import Address, address_of
from tangle.effects import Confirmed, Halted
from tangle.outcomes import Applied, NoValue, Outcome
from tangle.rows import Rows
from tangle.transaction import Operation, Transaction, TransactionId
from tangle.verification import parse

MAX_MILESTONES: Final = 4
"""By how many milestones, the next one being 1, an honest transaction that the coordinator has is
referenced, whatever others do; if it has so many left until max depth."""


class Rule(Enum):
    """The invariants, by the name under which a failure reports them."""

    SAME_ROOTS = "same roots"
    SAME_ORDER = "same order"
    CONSERVATION = "conservation"
    APPLIED_ONCE = "nothing applied twice"
    REFERENCED_ONCE = "nothing referenced twice"
    IN_TIME = "referenced in time"
    SETTLED = "settled in the end"
    UNHALTED = "no halt without cause"
    EVIDENCE = "two milestones of one index leave evidence and stop everybody"
    UNBLAMED = "no honest node blamed"
    DURABLE = "what is durable survives"
    SIGNED_ONCE = "signed once for each index"
    BOUNDED = "rooms bounded"


class BrokenRuleError(AssertionError):
    """A rule does not hold in a world; the message names both, and where everybody stands."""

    def __init__(self, rule: Rule, world: str, detail: str) -> None:
        super().__init__(f"{world}: [{rule.value}] {detail}")
        self.rule = rule


Act = tuple[bytes, int]
"""Issuer and sequence number: one act, however many copies."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first node that applied a milestone made of it."""

    outcomes: tuple[tuple[TransactionId, Outcome], ...]
    state_root: bytes
    balances_ueur: Mapping[Address, int]
    """What all members must have after it."""


@dataclass
class Ledgers:
    """What the watch remembers of one node; gone with the node's disk."""

    last_id: TransactionId
    counted: dict[Act, TransactionId] = field(default_factory=dict)


class Watch:
    """Sees all that happens and raises as soon as a rule is broken."""

    def __init__(
        self, world: Callable[[], str], members: Collection[Address], each_ueur: int
    ) -> None:
        """Begin at genesis, where `members` have `each_ueur`."""
        self.equivocated: dict[int, set[TransactionId]] = {}
        """Milestones of one index that the leader signed on purpose, by index."""
        self.longest = 0
        """Milestones that an honest transaction took on the coordinator, at most so far."""
        self._world = world
        self._start = dict.fromkeys(members, each_ueur)
        self._seen: dict[TransactionId, Seen] = {}
        self._by_index: dict[int, TransactionId] = {}
        self._nodes: dict[int, Ledgers] = {}
        self._awaited: dict[TransactionId, int] = {}

    def verify(self, holds: bool, rule: Rule, detail: str) -> None:
        """Raise `BrokenRuleError` unless it holds."""
        if not holds:
            raise BrokenRuleError(rule, self._world(), detail)

    def begin(self, number: int, last_id: TransactionId) -> None:
        """A node begins, or begins again without its disk, after milestone `last_id`."""
        self._nodes[number] = Ledgers(last_id)

    def confirmed(
        self,
        number: int,
        effect: Confirmed,
        rows: Mapping[bytes, bytes],
        bodies: Mapping[TransactionId, bytes],
    ) -> None:
        """Node `number` has applied a milestone and written it: `rows` are what is durable."""
        ledgers = self._nodes[number]
        fields = {tx_id: parse(data).transaction for tx_id, data in bodies.items()}
        if effect.milestone_id not in self._seen:
            balances = self._after(ledgers.last_id, effect, fields)
            seen = Seen(effect.outcomes, effect.state_root, balances)
            self._seen[effect.milestone_id] = seen
        self._verify_same(number, effect)
        self._verify_balances(number, effect, rows)
        self._verify_once(number, effect, fields)
        ledgers.last_id = effect.milestone_id

    def halted(self, number: int, effect: Halted) -> None:
        """Node `number` has stopped confirming."""
        ids = self.equivocated.get(effect.index, set())
        self.verify(
            effect.milestone_id in ids,
            Rule.UNHALTED,
            f"node {number} at milestone {effect.index}: {effect.report}",
        )
        evidence = {parse(data).tx_id for data in effect.evidence}
        self.verify(evidence <= ids and bool(evidence), Rule.EVIDENCE, f"node {number} kept others")

    def awaits(self, tx_id: TransactionId, index: int) -> None:
        """The coordinator has an honest transaction since milestone `index`."""
        self._awaited.setdefault(tx_id, index)

    def led(self, effect: Confirmed) -> None:
        """The coordinator has applied a milestone: nothing honest waits for too long."""
        for tx_id, _ in effect.outcomes:
            since = self._awaited.pop(tx_id, None)
            if since is not None:
                self.longest = max(self.longest, effect.index - since)
        for tx_id, since in self._awaited.items():
            self.verify(
                effect.index - since < MAX_MILESTONES,
                Rule.IN_TIME,
                f"{tx_id.hex()[:8]} came at milestone {since} and waits after {effect.index}",
            )

    def _verify_same(self, number: int, effect: Confirmed) -> None:
        index = effect.index
        usual = self._by_index.setdefault(index, effect.milestone_id)
        is_same = usual == effect.milestone_id or index in self.equivocated
        self.verify(is_same, Rule.SAME_ROOTS, f"node {number}: another milestone {index}")
        seen = self._seen[effect.milestone_id]
        is_same = seen.state_root == effect.state_root
        self.verify(is_same, Rule.SAME_ROOTS, f"node {number}: another state after {index}")
        is_same = seen.outcomes == effect.outcomes
        self.verify(is_same, Rule.SAME_ORDER, f"node {number}: another order or outcome at {index}")

    def _after(
        self,
        previous_id: TransactionId,
        effect: Confirmed,
        fields: Mapping[TransactionId, Transaction],
    ) -> Mapping[Address, int]:
        """Return what members must have: what they had, and the payments that were applied."""
        kept = self._seen.get(previous_id)
        balances = dict(self._start if kept is None else kept.balances_ueur)
        for tx_id, outcome in effect.outcomes:
            payload = fields[tx_id].payload
            if not isinstance(outcome, Applied) or not isinstance(payload, Operation):
                continue
            if payload.contract == TRANSFER.name:
                call = TRANSFER.decode(payload.call)
                assert isinstance(call, TransferEeuro)
                balances[address_of(fields[tx_id].issuer)] -= call.amount_ueur
                balances[call.to] += call.amount_ueur
        return balances

    def _verify_balances(self, number: int, effect: Confirmed, rows: Mapping[bytes, bytes]) -> None:
        expected = self._seen[effect.milestone_id].balances_ueur
        known = {balance_key(Token.EEURO, member) for member in expected}
        durable = Rows({key: rows[key] for key in known if key in rows})
        found = {member: balance(durable, Token.EEURO, member) for member in expected}
        said = f"node {number} at milestone {effect.index}"
        total, start = sum(found.values()), sum(self._start.values())
        self.verify(total == start, Rule.CONSERVATION, f"{said}: {total} µEUR of {start}")
        self.verify(min(found.values()) >= 0, Rule.CONSERVATION, f"{said}: less than nothing")
        others = {key for key in effect.changes if key.startswith(b"balance/")} - known
        self.verify(not others, Rule.CONSERVATION, f"{said}: somebody else has money")
        self.verify(found == expected, Rule.CONSERVATION, f"{said}: money of the wrong member")

    def _verify_once(
        self, number: int, effect: Confirmed, fields: Mapping[TransactionId, Transaction]
    ) -> None:
        counted = self._nodes[number].counted
        for tx_id, outcome in effect.outcomes:
            transaction = fields[tx_id]
            if not isinstance(outcome, Applied | NoValue) or not any(transaction.issuer):
                continue
            first = counted.setdefault((transaction.issuer, transaction.sequence), tx_id)
            self.verify(
                first == tx_id,
                Rule.APPLIED_ONCE,
                f"node {number}: {tx_id.hex()[:8]} counts at {effect.index}, "
                f"as {first.hex()[:8]} of that number did",
            )
