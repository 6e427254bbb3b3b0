"""A run in a few numbers."""

from statistics import fmean
from typing import Final

from tip_selection.laboratory.experiment import Experiment, ParasiteChain, Splitting
from tip_selection.laboratory.measures import (
    branch_shares,
    first_approvals_s,
    has_attacker_won,
    left_behind,
    mean_tips,
    split_held_s,
)
from tip_selection.laboratory.record import Branch, Party, Record
from tip_selection.laboratory.simulation import LEFT_BEHIND_DELAYS
from tip_selection.laboratory.theory import expected_first_approval_s, expected_tips

SETTLED_DELAYS: Final = 20
"""Left out at the beginning, and of what cannot be complete at the end."""

LAST: Final = 200
"""Honest transactions at the end that tell which side of a conflict the tangle took."""


def settings_of(experiment: Experiment) -> dict[str, object]:
    """Return what was tried, as plain values: columns of a table."""
    attack = experiment.attack
    return {
        "transactions": experiment.transactions,
        "rate_per_s": experiment.rate_per_s,
        "delay_s": experiment.delay_s,
        "selector": str(experiment.selector),
        "alpha": experiment.alpha,
        "parents": experiment.parents,
        "milestone_interval_s": experiment.milestone_interval_s,
        "attack": None if attack is None else type(attack).__name__,
        "share": experiment.share,
        "seed": experiment.seed,
    }


def summary_of(record: Record) -> dict[str, object]:
    """Return what came out, as plain values; `None` for what does not apply."""
    experiment = record.experiment
    settled_s = SETTLED_DELAYS * experiment.delay_s
    approvals_s = first_approvals_s(record, settled_s, record.end_s - settled_s)
    parties = [entry.party for entry in record.entries]
    return {
        "duration_s": record.end_s,
        "honest": parties.count(Party.HONEST),
        "attackers": parties.count(Party.ATTACKER),
        "coordinators": parties.count(Party.COORDINATOR),
        "mean_tips": mean_tips(record, min(settled_s, record.end_s / 2)),
        "expected_tips": expected_tips(
            experiment.total_rate_per_s, experiment.delay_s, experiment.parents
        ),
        "mean_first_approval_s": fmean(approvals_s) if approvals_s else None,
        "expected_first_approval_s": expected_first_approval_s(
            experiment.delay_s, experiment.parents
        ),
        "left_behind": len(left_behind(record, LEFT_BEHIND_DELAYS * experiment.delay_s)),
        "walks": record.walks,
        "fallbacks": record.fallbacks,
        **_conflict_of(record),
    }


def _conflict_of(record: Record) -> dict[str, object]:
    attack = record.experiment.attack
    is_conflict = isinstance(attack, ParasiteChain | Splitting)
    shares = branch_shares(record, LAST) if is_conflict else {}
    return {
        "first_share": shares.get(Branch.FIRST),
        "second_share": shares.get(Branch.SECOND),
        "attacker_won": has_attacker_won(record, LAST)
        if isinstance(attack, ParasiteChain)
        else None,
        "split_held_s": split_held_s(record) if isinstance(attack, Splitting) else None,
        "dodged": record.dodged,
    }
