"""Records as CSV: one file per kind of row, the first line names the columns."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tip_selection.laboratory.measures import honest_numbers, mean_weights
from tip_selection.laboratory.record import Record

_COLUMNS: Final = (
    "number",
    "issued_s",
    "seen_s",
    "party",
    "branch",
    "parents",
    "first_approved_s",
    "referenced_s",
    "expired_s",
)

AGES: Final = 80
"""Of a curve of weights, in halves of a delay."""

MAX_FOLLOWED: Final = 256
"""Transactions whose weights a curve is the mean of."""


def write_tables(record: Record, folder: Path) -> None:
    """Write `transactions.csv`, `tips.csv`, `weights.csv` and `confidence.csv` into a folder."""
    _write(
        folder / "transactions.csv",
        _COLUMNS,
        (
            (
                number,
                entry.issued_s,
                entry.seen_s,
                entry.party,
                entry.branch,
                " ".join(map(str, entry.parents)),
                entry.first_approved_s,
                entry.referenced_s,
                entry.expired_s,
            )
            for number, entry in enumerate(record.entries)
        ),
    )
    _write(
        folder / "tips.csv",
        ("at_s", "tips", "left_behind"),
        ((one.at_s, one.tips, one.left_behind) for one in record.samples),
    )
    _write(folder / "weights.csv", ("age_s", "mean_weight"), weight_curve(record))
    _write(
        folder / "confidence.csv",
        ("number", "age_s", "percent"),
        ((one.number, one.age_s, one.percent) for one in record.beliefs),
    )


def write_rows(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same keys."""
    _write(file, tuple(rows[0]), (tuple(row.values()) for row in rows))


def weight_curve(record: Record) -> list[tuple[float, float]]:
    """Return the mean cumulative weight of honest transactions at each age.

    Of those that reach every age before the end, from when there are about as many tips as there
    will be; none if the run is too short.
    """
    delay_s = record.experiment.delay_s
    ages_s = [delay_s / 2 * age for age in range(AGES + 1)]
    numbers = honest_numbers(record, 10 * delay_s, record.end_s - ages_s[-1])
    followed = numbers[:: max(1, len(numbers) // MAX_FOLLOWED)]
    if not followed:
        return []
    return list(zip(ages_s, mean_weights(record, followed, ages_s), strict=True))


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(header)
        writer.writerows(rows)
