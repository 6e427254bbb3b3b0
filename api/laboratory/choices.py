"""Experiments from what a person typed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from math import isfinite
from typing import Final, TypeVar, assert_never

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from tip_selection.laboratory.experiment import (
    Attack,
    Experiment,
    Lazy,
    ParasiteChain,
    SelectorName,
    Spam,
    Splitting,
)

MAX_ALPHA: Final = 1_000.0
MAX_SHARE: Final = 0.95
MAX_RATE_PER_S: Final = 100_000.0
MAX_SECONDS: Final = 1e6
MIN_SECONDS: Final = 1e-3
MAX_RUNS: Final = 10_000
"""In one sweep."""

NO_MILESTONES: Final = "none"

T = TypeVar("T")


class AttackName(StrEnum):
    """The attacks that there are."""

    NONE = "none"
    PARASITE_CHAIN = "parasite-chain"
    SPLITTING = "splitting"
    LAZY = "lazy"
    SPAM = "spam"


@dataclass(frozen=True, slots=True)
class Moments:
    """When an attack does what, in seconds."""

    begin_s: float
    hold_s: float
    """How long a chain is secret, spam lasts, and how old is what lazy transactions approve."""


def attack_of(name: AttackName, when: Moments) -> Attack | None:
    """Return the attack of a name."""
    match name:
        case AttackName.NONE:
            return None
        case AttackName.PARASITE_CHAIN:
            return ParasiteChain(when.begin_s, when.begin_s + when.hold_s)
        case AttackName.SPLITTING:
            return Splitting(when.begin_s)
        case AttackName.LAZY:
            return Lazy(when.hold_s)
        case AttackName.SPAM:
            return Spam(when.begin_s, when.begin_s + when.hold_s)
    assert_never(name)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is varied, each as a list with commas."""

    selectors: str
    alphas: str
    rates_per_s: str
    shares: str
    milestone_intervals_s: str
    repeats: int


def experiments_of(model: Experiment, sweep: Sweep) -> list[Experiment]:
    """Return `model` with every combination, and so many seeds of each.

    Without an attack the shares say nothing.

    Raises:
        CommandError: A list holds what its option cannot be, or there are too many combinations.
    """
    shares = tuple(_each(sweep.shares, "--shares", _number(0.0, MAX_SHARE)))
    every = list(
        product(
            _each(sweep.selectors, "--selectors", _selector),
            _each(sweep.alphas, "--alphas", _number(0.0, MAX_ALPHA)),
            _each(sweep.rates_per_s, "--rates", _number(MIN_SECONDS, MAX_RATE_PER_S)),
            shares if model.attack else (0.0,),
            _each(sweep.milestone_intervals_s, "--milestone-intervals", _interval),
            range(sweep.repeats),
        )
    )
    if len(every) > MAX_RUNS:
        raise wrong("the sweep", f"{len(every):,} runs: {MAX_RUNS:,} at most")
    return [
        replace(
            model,
            selector=selector,
            alpha=alpha,
            rate_per_s=rate_per_s,
            share=share,
            milestone_interval_s=interval_s,
            seed=model.seed + repeat,
        )
        for selector, alpha, rate_per_s, share, interval_s, repeat in every
    ]


def wrong(what: str, rule: str) -> CommandError:
    """Return the failure of an option."""
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            what,
            rule,
            "see `tanglewatt simulate --help` and docs/laboratory.md",
        )
    )


def _each(text: str, option: str, read: Callable[[str], T]) -> Iterator[T]:
    for word in text.split(","):
        try:
            yield read(word.strip())
        except ValueError as error:
            raise wrong(f"{option} {text}", f"{word.strip()!r}: {error}") from error


def _selector(word: str) -> SelectorName:
    if word not in set(SelectorName):
        raise ValueError(f"one of {', '.join(SelectorName)}")
    return SelectorName(word)


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(word: str) -> float:
        rule = f"a number from {least:g} to {most:g}"
        try:
            value = float(word)
        except ValueError as error:
            raise ValueError(rule) from error
        if not isfinite(value) or not least <= value <= most:
            raise ValueError(rule)
        return value

    return read


def _interval(word: str) -> float | None:
    return None if word == NO_MILESTONES else _number(MIN_SECONDS, MAX_SECONDS)(word)
