"""A simulated tangle: by its seed alone, in the order of its clock, with whatever makes weights."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from tangle.graph import Graph
from tangle.mirror import Mirror
from tangle.weights import CumulativeWeights
from tangle.window import Weights
from tip_selection.laboratory.experiment import (
    Attack,
    Experiment,
    Lazy,
    ParasiteChain,
    SelectorName,
    Spam,
    Splitting,
)
from tip_selection.laboratory.measures import (
    first_approvals_s,
    future_cone_ages_s,
    left_behind,
    mean_tips,
    mean_weights,
)
from tip_selection.laboratory.record import Branch, Entry, Party, Record, joined
from tip_selection.laboratory.simulation import BELIEF_AGES, Simulation

EVERY_ATTACK: list[Attack | None] = [
    None,
    ParasiteChain(10, 20),
    Splitting(10),
    Lazy(10),
    Spam(10, 20),
]


def grown(
    experiment: Experiment, made: Callable[[Graph], Weights] = CumulativeWeights
) -> tuple[Record, list[tuple[object, ...]]]:
    """Run it; return the record, and every entry as plain values that compare."""
    simulation = Simulation(experiment, made)
    while simulation.advance():
        pass
    record = simulation.record()
    rows = [tuple(getattr(entry, name) for name in Entry.__slots__) for entry in record.entries]
    return record, rows


@pytest.mark.parametrize("attack", EVERY_ATTACK, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("interval_s", [None, 3.0])
def test_plain_and_compiled_weights_grow_the_same_tangle(
    attack: Attack | None, interval_s: float | None
) -> None:
    experiment = Experiment(
        400,
        10,
        1.0,
        milestone_interval_s=interval_s,
        attack=attack,
        share=0.3,
        watched=2,
        seed=5,
    )

    plain, compiled = grown(experiment), grown(experiment, Mirror)

    assert plain[1] == compiled[1]
    assert plain[0].samples == compiled[0].samples
    assert plain[0].beliefs == compiled[0].beliefs


def test_another_seed_is_another_tangle_and_the_same_is_the_same() -> None:
    first, again, other = (grown(Experiment(200, 10, 1.0, seed=seed))[1] for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("selector", list(SelectorName))
@pytest.mark.parametrize("interval_s", [None, 3.0])
def test_nothing_is_approved_before_it_is_seen(
    selector: SelectorName, interval_s: float | None
) -> None:
    record, _ = grown(
        Experiment(300, 10, 1.0, selector, milestone_interval_s=interval_s, parents=3)
    )

    for entry in record.entries:
        if entry.party is Party.HONEST:
            assert 2 <= len(entry.parents) <= 3
            for parent in entry.parents:
                seen_s = record.entries[parent].seen_s
                assert seen_s is not None
                assert seen_s <= entry.issued_s
    honest = [entry for entry in record.entries if entry.party is Party.HONEST]
    assert len(honest) == 300


def test_arrivals_are_a_poisson_process() -> None:
    record, _ = grown(Experiment(5_000, 10, 0.1, SelectorName.UNIFORM))
    times = [entry.issued_s for entry in record.entries if entry.party is Party.HONEST]
    gaps = [late - early for early, late in pairwise(times)]
    mean_s = sum(gaps) / len(gaps)
    variance = sum((gap - mean_s) ** 2 for gap in gaps) / len(gaps)

    # Of 5,000 gaps: mean and deviation are equal, and each is known to some 1.4 and 2 %.
    assert mean_s == pytest.approx(0.1, rel=0.05)
    assert variance**0.5 == pytest.approx(mean_s, rel=0.08)


def test_milestones_reference_everything_and_nothing_expires() -> None:
    record, _ = grown(Experiment(1_500, 20, 1.0, milestone_interval_s=2.0), Mirror)

    old = [entry for entry in record.entries if entry.issued_s < record.end_s - 10]
    assert all(entry.referenced_s is not None for entry in old if entry.party is Party.HONEST)
    assert all(entry.expired_s is None for entry in record.entries)
    places = [one.ledger_place for one in record.entries if one.ledger_place is not None]
    assert sorted(places) == list(range(len(places)))


def test_confidence_is_followed_from_when_it_is_seen_and_ends_at_certainty() -> None:
    record, _ = grown(Experiment(400, 10, 1.0, milestone_interval_s=3.0, watched=3))

    numbers = list(dict.fromkeys(one.number for one in record.beliefs))
    assert len(numbers) == 3
    for number in numbers:
        own = [one for one in record.beliefs if one.number == number]
        assert len(own) == BELIEF_AGES - 1
        assert own[0].age_s == pytest.approx(1.0)
        assert own[-1].percent == 100


# Measures, of a tangle that is drawn by hand.


def entry(issued_s: float, *parents: int, party: Party = Party.HONEST) -> Entry:
    return Entry(issued_s, parents, party, Branch.NEITHER, seen_s=issued_s + 1)


def drawn() -> Record:
    entries = [
        entry(0, party=Party.GENESIS),
        entry(0, party=Party.GENESIS),
        entry(1, 0, 1),
        entry(2, 0, 1),
        entry(4, 2, 3),
        entry(6, 2, 4),
    ]
    for number, first_s in ((0, 1.0), (1, 1.0), (2, 4.0), (3, 4.0), (4, 6.0)):
        entries[number].first_approved_s = first_s
    return Record(Experiment(4, 1.0, 1.0), tuple(entries), (), (), 30.0, 0, 0, 0)


def test_weights_are_those_of_future_cones_by_age() -> None:
    assert future_cone_ages_s(drawn(), [2, 3, 5]) == [[3, 5], [2, 4], []]
    assert mean_weights(drawn(), [2, 3], [0, 2, 3, 4, 5]) == [1, 1.5, 2, 2.5, 3]


def test_first_approvals_are_ages_of_who_was_issued_in_the_span() -> None:
    assert first_approvals_s(drawn(), 0, 30) == [3, 2, 2]
    assert first_approvals_s(drawn(), 2, 3) == [2]


def test_left_behind_is_what_nobody_took_up_for_so_long() -> None:
    record = drawn()

    assert left_behind(record, 20) == [5]
    assert left_behind(record, 25) == []
    record.entries[5].referenced_s = 9.0
    assert left_behind(record, 20) == []
    record.entries[3].expired_s = 25.0
    assert left_behind(record, 20) == [3]


def test_the_mean_of_no_samples_is_nothing() -> None:
    assert mean_tips(drawn()) == 0.0


@pytest.mark.parametrize(
    ("branches", "expected"),
    [
        ([], Branch.NEITHER),
        ([Branch.NEITHER, Branch.FIRST], Branch.FIRST),
        ([Branch.SECOND, Branch.SECOND], Branch.SECOND),
        ([Branch.FIRST, Branch.NEITHER, Branch.SECOND], Branch.BOTH),
        ([Branch.BOTH, Branch.FIRST], Branch.BOTH),
    ],
)
def test_who_approves_both_sides_is_on_both(branches: list[Branch], expected: Branch) -> None:
    assert joined(branches) is expected
