"""What a record says, in numbers. Times are seconds, ages count from when one was issued."""

from collections.abc import Sequence
from statistics import fmean

from tip_selection.laboratory.record import Branch, Entry, Party, Record

Number = int


def mean_tips(record: Record, from_s: float = 0.0) -> float:
    """Return the mean number of tips that issuers saw; 0 if nothing was issued since `from_s`."""
    seen = [sample.tips for sample in record.samples if sample.at_s >= from_s]
    return fmean(seen) if seen else 0.0


def first_approvals_s(record: Record, from_s: float, until_s: float) -> list[float]:
    """Return the ages at which honest transactions were first approved by another issuer.

    Args:
        record: A run.
        from_s: Those issued before are left out.
        until_s: Those issued after too; what comes near the end could not be approved yet.
    """
    return [
        entry.first_approved_s - entry.issued_s
        for entry in record.entries
        if entry.party is Party.HONEST
        and from_s <= entry.issued_s <= until_s
        and entry.first_approved_s is not None
    ]


def left_behind(record: Record, age_s: float) -> list[Number]:
    """Return the honest transactions of at least that age that nobody has taken up.

    Neither approved nor referenced at the end, or expired before.
    """
    return [
        number
        for number in honest_numbers(record, 0.0, record.end_s - age_s)
        if _is_left_behind(record.entries[number])
    ]


def _is_left_behind(entry: Entry) -> bool:
    is_taken_up = entry.first_approved_s is not None or entry.referenced_s is not None
    return entry.expired_s is not None or not is_taken_up


def future_cone_ages_s(record: Record, numbers: Sequence[Number]) -> list[list[float]]:
    """Return for each of `numbers` at which age it gained which weight: ages of its future cone.

    Ascending; so the cumulative weight at an age is 1 plus how many of them are less or equal.
    """
    marks = [0] * len(record.entries)
    for bit, number in enumerate(numbers):
        marks[number] |= 1 << bit
    ages: list[list[float]] = [[] for _ in numbers]
    for number, entry in enumerate(record.entries):
        below = 0
        for parent in entry.parents:
            below |= marks[parent]
        marks[number] |= below
        while below:
            bit = (below & -below).bit_length() - 1
            below &= below - 1
            ages[bit].append(entry.issued_s - record.entries[numbers[bit]].issued_s)
    return ages


def mean_weights(record: Record, numbers: Sequence[Number], ages_s: Sequence[float]) -> list[float]:
    """Return the mean cumulative weight of `numbers` at each of the ascending ages."""
    totals = [0] * len(ages_s)
    for gained in future_cone_ages_s(record, numbers):
        at = 0
        for place, age_s in enumerate(ages_s):
            while at < len(gained) and gained[at] <= age_s:
                at += 1
            totals[place] += at
    return [1 + total / len(numbers) for total in totals]


def honest_numbers(record: Record, from_s: float, until_s: float) -> list[Number]:
    """Return the honest transactions issued in a span of time."""
    return [
        number
        for number, entry in enumerate(record.entries)
        if entry.party is Party.HONEST and from_s <= entry.issued_s < until_s
    ]


def branch_shares(record: Record, last: int) -> dict[Branch, float]:
    """Return which sides of the conflict the last so many honest transactions approve."""
    honest = [entry.branch for entry in record.entries if entry.party is Party.HONEST][-last:]
    return {branch: honest.count(branch) / max(1, len(honest)) for branch in Branch}


def has_attacker_won(record: Record, last: int) -> bool:
    """Tell whether the second payment has the better of the first.

    With milestones: it was referenced, and comes before the first in the ledger's order. Without:
    most of the last honest transactions approve it and not the first.
    """
    if record.experiment.milestone_interval_s is not None:
        first, second = (_ledger_place(record, side) for side in (Branch.FIRST, Branch.SECOND))
        return second is not None and (first is None or second < first)
    return branch_shares(record, last)[Branch.SECOND] > 0.5


def split_held_s(record: Record) -> float:
    """Return how long honest issuers went on with both sides of a conflict after it began."""
    begun_s: float | None = None
    last_s: dict[Branch, float] = {}
    for entry in record.entries:
        if entry.branch in (Branch.FIRST, Branch.SECOND):
            begun_s = entry.issued_s if begun_s is None else begun_s
            if entry.party is Party.HONEST:
                last_s[entry.branch] = entry.issued_s
    if begun_s is None or len(last_s) < 2:
        return 0.0
    return min(last_s.values()) - begun_s


def _ledger_place(record: Record, side: Branch) -> int | None:
    """Return where the root of a side stands in the ledger."""
    return next((entry.ledger_place for entry in record.entries if entry.branch is side), None)
