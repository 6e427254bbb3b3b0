"""What an attacker issues when it is his turn."""

from bisect import bisect_right
from random import Random
from typing import Final, assert_never

from tip_selection.laboratory.experiment import (
    Attack,
    Experiment,
    Lazy,
    ParasiteChain,
    Spam,
    Splitting,
)
from tip_selection.laboratory.record import Branch, Entry, Party
from tip_selection.laboratory.world import World
from tip_selection.uniform import select_uniform

ANCHOR_DELAYS: Final = 10
"""A parasite chain hangs on what was seen within so many delays before it began."""

RECENT: Final = 50
"""Transactions of a branch among which one that keeps it up finds its tips."""


class Attacker:
    """One attack in one world. Mutable."""

    def __init__(self, experiment: Experiment, attack: Attack, world: World, rng: Random) -> None:
        self._attack, self._world, self._rng = attack, world, rng
        self._reach_s = ANCHOR_DELAYS * experiment.delay_s
        self._seen_s: list[float] = [0.0, 0.0]
        self._seen: list[int] = [0, 1]
        """Everything in the order in which it was seen."""

        self._anchors: tuple[int, ...] = ()
        self._secret: list[int] = []
        self._last: int | None = None
        self._is_paid = False
        self._is_released = False
        self._sides: dict[Branch, list[int]] = {Branch.FIRST: [], Branch.SECOND: []}

    def saw(self, number: int) -> None:
        """Take note of what everybody sees now."""
        entry = self._world.entries[number]
        assert entry.seen_s is not None, f"{number} is not seen"
        self._seen_s.append(entry.seen_s)
        self._seen.append(number)

    def heard(self, number: int, entry: Entry) -> None:
        """Take note of what was issued, before others see it: an attacker is close to them."""
        if entry.branch in self._sides:
            self._sides[entry.branch].append(number)

    def branch_of_next(self, now_s: float) -> Branch:
        """Return what the honest transaction of this moment is in the conflict: the payment?"""
        attack = self._attack
        if not isinstance(attack, ParasiteChain) or self._is_paid or now_s < attack.begin_s:
            return Branch.NEITHER
        self._is_paid = True
        oldest = bisect_right(self._seen_s, now_s - self._reach_s)
        self._anchors = tuple(self._seen[max(0, min(oldest, len(self._seen) - 2)) :])
        return Branch.FIRST

    def act(self, now_s: float) -> bool:
        """Issue one, if there is one to issue now."""
        attack = self._attack
        match attack:
            case ParasiteChain():
                return self._lengthen(attack, now_s)
            case Splitting():
                return now_s >= attack.begin_s and self._balance(now_s)
            case Lazy():
                return self._approve_old(attack, now_s)
            case Spam():
                return attack.begin_s <= now_s < attack.end_s and self._approve_any(now_s)
        assert_never(attack)

    def release(self, now_s: float) -> None:
        """Publish the secret chain, once it is time."""
        is_due = isinstance(self._attack, ParasiteChain) and now_s >= self._attack.release_s
        if is_due and not self._is_released:
            self._is_released = True
            for number in self._secret:
                self._world.publish(number, now_s)

    def _lengthen(self, attack: ParasiteChain, now_s: float) -> bool:
        if not self._is_paid:
            return False
        is_secret = now_s < attack.release_s
        anchors = self._rng.sample(self._anchors, 2)
        if self._last is None:
            self._last = self._issue(tuple(anchors), now_s, Branch.SECOND, is_secret=is_secret)
        else:
            self._last = self._issue((self._last, anchors[0]), now_s, is_secret=is_secret)
        if is_secret:
            self._secret.append(self._last)
        return True

    def _balance(self, now_s: float) -> bool:
        missing = [side for side, numbers in self._sides.items() if not numbers]
        if missing:
            self._issue(self._tips(), now_s, missing[0])
            return True
        lighter = min(self._sides.values(), key=len)
        open_ones = [
            number
            for number in lighter[-RECENT:]
            if self._world.is_seen(number) and self._is_tip(number)
        ]
        parents = self._rng.sample(open_ones, min(2, len(open_ones)))
        if len(parents) < 2:
            seen = [number for number in lighter if self._world.is_seen(number)]
            parents += [number for number in reversed(seen) if number not in parents]
        if not parents:
            return False
        first, *rest = parents
        second = rest[0] if rest else self._world.entries[first].parents[0]
        self._issue((first, second), now_s)
        return True

    def _approve_old(self, attack: Lazy, now_s: float) -> bool:
        end = bisect_right(self._seen_s, now_s - attack.age_s)
        if end < 2:
            return False
        first = self._rng.randrange(end - 1)
        pair = (self._seen[first], self._seen[first + 1])
        if not all(self._world.is_seen(number) for number in pair):
            return False
        self._issue(pair, now_s)
        return True

    def _approve_any(self, now_s: float) -> bool:
        self._issue(self._tips(), now_s)
        return True

    def _tips(self) -> tuple[int, ...]:
        chosen = select_uniform(self._world.view, self._rng, 2).parents
        return tuple(self._world.number_of(tx_id) for tx_id in chosen)

    def _is_tip(self, number: int) -> bool:
        return self._world.graph.is_tip(self._world.id_of(number))

    def _issue(
        self,
        parents: tuple[int, ...],
        now_s: float,
        branch: Branch = Branch.NEITHER,
        *,
        is_secret: bool = False,
    ) -> int:
        return self._world.issue(parents, now_s, Party.ATTACKER, branch, is_secret=is_secret)
