"""Attackers: who wins, and by what."""

import pytest

from tangle.mirror import Mirror
from tip_selection.laboratory.experiment import (
    Attack,
    Experiment,
    Lazy,
    ParasiteChain,
    Spam,
    Splitting,
)
from tip_selection.laboratory.measures import (
    branch_shares,
    has_attacker_won,
    left_behind,
    mean_tips,
    split_held_s,
)
from tip_selection.laboratory.record import Branch, Party, Record
from tip_selection.laboratory.simulation import Simulation

INTERVAL_S = 2.0
CHAIN = ParasiteChain(begin_s=50, release_s=100)


def attacked(
    attack: Attack,
    share: float,
    *,
    alpha: float = 0.01,
    interval_s: float | None = None,
    transactions: int = 4_000,
    seed: int = 1,
) -> Record:
    simulation = Simulation(
        Experiment(
            transactions,
            10,
            1.0,
            alpha=alpha,
            milestone_interval_s=interval_s,
            attack=attack,
            share=share,
            seed=seed,
        ),
        Mirror,
    )
    while simulation.advance():
        pass
    return simulation.record()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_parasite_chain_wins_where_weight_counts_for_nothing(seed: int) -> None:
    record = attacked(CHAIN, 0.3, alpha=0.0, seed=seed)

    assert has_attacker_won(record, 200)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_parasite_chain_of_the_smaller_part_loses_where_weight_counts(seed: int) -> None:
    record = attacked(CHAIN, 0.3, alpha=0.1, seed=seed)

    assert not has_attacker_won(record, 200)
    assert branch_shares(record, 200)[Branch.FIRST] > 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_parasite_chain_of_the_larger_part_wins_by_weight(seed: int) -> None:
    assert has_attacker_won(attacked(CHAIN, 0.65, alpha=0.1, seed=seed), 200)


@pytest.mark.parametrize("share", [0.3, 0.65])
def test_with_milestones_a_payment_that_is_referenced_stays_first(share: float) -> None:
    record = attacked(CHAIN, share, alpha=0.0, interval_s=INTERVAL_S)

    assert not has_attacker_won(record, 200)
    assert left_behind(record, 20) == []


def test_only_before_the_payment_is_referenced_may_the_second_come_first() -> None:
    early = ParasiteChain(begin_s=50, release_s=50)

    won = [
        has_attacker_won(attacked(early, 0.2, interval_s=20, transactions=1_000, seed=seed), 200)
        for seed in range(1, 9)
    ]

    assert any(won)
    assert not all(won)


def test_nobody_who_is_careful_approves_both_sides() -> None:
    record = attacked(CHAIN, 0.4, alpha=0.001)

    honest = [entry.branch for entry in record.entries if entry.party is Party.HONEST]
    assert Branch.BOTH not in honest
    assert {Branch.FIRST, Branch.SECOND} <= set(honest)


def test_the_secret_chain_is_seen_by_nobody_before_its_release() -> None:
    record = attacked(CHAIN, 0.4)

    chain = [entry for entry in record.entries if entry.party is Party.ATTACKER]
    assert min(entry.seen_s for entry in chain if entry.seen_s is not None) >= CHAIN.release_s + 1
    assert sum(entry.issued_s < CHAIN.release_s for entry in chain) > 100


def test_a_split_is_held_longer_the_less_weight_counts() -> None:
    held = {
        alpha: sum(
            split_held_s(attacked(Splitting(50), 0.3, alpha=alpha, seed=seed)) for seed in (1, 2, 3)
        )
        for alpha in (0.0, 1.0)
    }

    assert held[0.0] > held[1.0]


def test_with_milestones_there_is_nothing_to_split() -> None:
    record = attacked(Splitting(50), 0.3, interval_s=INTERVAL_S)

    assert branch_shares(record, 200)[Branch.BOTH] == 1.0
    assert left_behind(record, 20) == []


def test_lazy_transactions_swell_the_pool_until_milestones_take_them() -> None:
    alone = attacked(Lazy(20), 0.3)
    confirmed = attacked(Lazy(20), 0.3, interval_s=INTERVAL_S)

    assert alone.samples[-1].tips > 10 * confirmed.samples[-1].tips
    assert mean_tips(confirmed, 50) < 40
    assert left_behind(confirmed, 20) == []


def test_spam_fills_the_pool_while_it_lasts() -> None:
    record = attacked(Spam(50, 80), 0.9, transactions=5_000)

    tips = {at: [one.tips for one in record.samples if at <= one.at_s < at + 10] for at in (40, 70)}
    assert sum(tips[70]) / len(tips[70]) > 4 * sum(tips[40]) / len(tips[40])
    assert record.samples[-1].tips < 40


def test_a_lazy_attacker_has_nothing_to_approve_at_first() -> None:
    record = attacked(Lazy(5_000), 0.3, transactions=300)

    assert all(entry.party is not Party.ATTACKER for entry in record.entries)
