"""Runs an experiment, transaction by transaction."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

from tangle.graph import Graph
from tangle.window import Weights
from tip_selection.confidence import confidence
from tip_selection.laboratory.attackers import Attacker
from tip_selection.laboratory.experiment import Experiment, selector_of
from tip_selection.laboratory.record import Belief, Branch, Party, Record, Sample
from tip_selection.laboratory.world import World

LEFT_BEHIND_DELAYS: Final = 20
"""Where every tip is as likely as any other, one in 10^8 waits so long."""

MAX_CHOICES: Final = 20
"""Of an issuer that meets both sides of a conflict, before it stays on one."""

BELIEF_AGES: Final = 20
"""Ages, in halves of a delay, at which the confidence of a watched transaction is measured."""


class Simulation:
    """One experiment under way. Chance comes from its seed alone; `made` changes nothing but pace.

    The attacker, the arrivals, the choices and the measuring draw from generators of their own, so
    that one does not disturb the other.
    """

    def __init__(self, experiment: Experiment, made: Callable[[Graph], Weights]) -> None:
        self._experiment = experiment
        self._world = World(experiment, made)
        self._arrivals, self._choices, self._doubts, self._coordinator = (
            Random(f"{experiment.seed}/{use}")
            for use in ("arrivals", "choices", "doubts", "coordinator")
        )
        attack = experiment.attack
        own = Random(f"{experiment.seed}/attacker")
        self._attacker = Attacker(experiment, attack, self._world, own) if attack else None
        self._select = selector_of(experiment.selector)
        self._now_s = 0.0
        self._due_s = experiment.milestone_interval_s
        self._is_careful = attack is not None and experiment.milestone_interval_s is None
        self._waiting: deque[int] = deque()  # seen and perhaps tips still, the oldest first
        self._left_behind: list[int] = []
        self._samples: list[Sample] = []
        self._beliefs: list[Belief] = []
        self._to_measure: deque[tuple[float, int]] = deque()
        every = experiment.transactions // (experiment.watched + 1)
        self._to_watch = deque(every * (one + 1) for one in range(experiment.watched))
        self._walks = self._fallbacks = self._dodged = 0
        self.done = 0
        """Transactions issued so far."""

    def advance(self) -> bool:
        """Issue the next transaction; `False` once all are."""
        if self.done >= self._experiment.transactions:
            return False
        share = self._experiment.share if self._attacker else 0.0
        has_issued = False
        while not has_issued:
            self._now_s += self._arrivals.expovariate(self._experiment.total_rate_per_s)
            is_attackers = share > 0 and self._arrivals.random() < share
            self._catch_up()
            if not is_attackers:
                self._issue()
                has_issued = True
            elif self._attacker is not None:
                has_issued = self._attacker.act(self._now_s)
        self.done += 1
        return True

    def record(self) -> Record:
        """Return what came out so far."""
        return Record(
            self._experiment,
            tuple(self._world.entries),
            tuple(self._samples),
            tuple(self._beliefs),
            self._now_s,
            self._walks,
            self._fallbacks,
            self._dodged,
        )

    def _catch_up(self) -> None:
        """Let everything happen that is due by now."""
        if self._attacker is not None:
            self._attacker.release(self._now_s)
        interval_s = self._experiment.milestone_interval_s
        while self._due_s is not None and interval_s is not None and self._due_s <= self._now_s:
            self._reveal(self._due_s)
            self._world.confirm(self._due_s, self._coordinator)
            self._due_s += interval_s
        while self._to_measure and self._to_measure[0][0] <= self._now_s:
            at_s, number = self._to_measure.popleft()
            self._reveal(at_s)
            self._measure(at_s, number)
        self._reveal(self._now_s)

    def _reveal(self, until_s: float) -> None:
        for number in self._world.reveal(until_s):
            self._waiting.append(number)
            if self._attacker is not None:
                self._attacker.saw(number)

    def _issue(self) -> None:
        self._sample()
        branch = self._attacker.branch_of_next(self._now_s) if self._attacker else Branch.NEITHER
        parents = self._parents()
        number = self._world.issue(parents, self._now_s, Party.HONEST, branch)
        if self._attacker is not None:
            self._attacker.heard(number, self._world.entries[number])
        if self._to_watch and self.done >= self._to_watch[0]:
            self._to_watch.popleft()
            self._watch(number)

    def _watch(self, number: int) -> None:
        """Measure confidence from when it is seen on, every half delay."""
        step_s = self._experiment.delay_s / 2
        ages = [(self._now_s + step_s * age, number) for age in range(2, BELIEF_AGES + 1)]
        self._to_measure = deque(sorted([*self._to_measure, *ages]))

    def _parents(self) -> tuple[int, ...]:
        """Choose by the selector; where nobody settles conflicts, only what goes together."""
        chosen: tuple[int, ...] = ()
        for _ in range(MAX_CHOICES if self._is_careful else 1):
            selection = self._select(self._world.view, self._choices, self._experiment.parents)
            self._walks += selection.walks
            self._fallbacks += selection.fallbacks
            chosen = tuple(self._world.number_of(tx_id) for tx_id in selection.parents)
            if not self._is_careful or self._goes_together(chosen):
                return chosen
        self._dodged += 1
        first = self._choices.choice(chosen)
        return (first, self._world.entries[first].parents[0])

    def _goes_together(self, numbers: tuple[int, ...]) -> bool:
        branches = {self._world.entries[number].branch for number in numbers}
        return not branches >= {Branch.FIRST, Branch.SECOND} and Branch.BOTH not in branches

    def _sample(self) -> None:
        """Count tips, and among them those that nobody has approved for long."""
        old_s = self._now_s - LEFT_BEHIND_DELAYS * self._experiment.delay_s
        entries = self._world.entries
        while self._waiting and (entries[self._waiting[0]].seen_s or 0.0) < old_s:
            self._left_behind.append(self._waiting.popleft())
        self._left_behind = [number for number in self._left_behind if self._is_tip(number)]
        tips = self._world.graph.tip_count
        self._samples.append(Sample(self._now_s, tips, len(self._left_behind)))

    def _is_tip(self, number: int) -> bool:
        return self._world.graph.is_tip(self._world.id_of(number))

    def _measure(self, at_s: float, number: int) -> None:
        if self._world.is_seen(number):
            percent = confidence(self._world.view, self._doubts, self._world.id_of(number))
            age_s = at_s - self._world.entries[number].issued_s
            self._beliefs.append(Belief(number, age_s, percent))
