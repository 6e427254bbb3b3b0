"""Plots of runs, as SVG or PNG. Importing this needs matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from api.laboratory.tables import weight_curve
from tip_selection.laboratory.measures import first_approvals_s
from tip_selection.laboratory.record import Record
from tip_selection.laboratory.theory import expected_first_approval_s, expected_tips

_SIZE: Final = (8.0, 4.5)
_BINS: Final = 60
_SALT: Final = "tanglewatt"
"""So that the same run gives the same file."""


def plot_run(record: Record, folder: Path, kind: str) -> list[Path]:
    """Write the plots of one run; return the files.

    Args:
        record: What to show.
        folder: Where; it is there.
        kind: `svg` or `png`.
    """
    drawn = {
        "tips": _tips(record),
        "weights": _weights(record),
        "first_approval": _first_approval(record),
        "left_behind": _left_behind(record),
    }
    if record.beliefs:
        drawn["confidence"] = _confidence(record)
    return [_save(figure, folder / f"{name}.{kind}") for name, figure in drawn.items()]


def plot_sweep(rows: Sequence[Mapping[str, object]], measure: str, file: Path) -> Path:
    """Write one plot of a measure against the attacker's share, a line for each α and interval.

    Args:
        rows: Settings and numbers of each run; runs that differ in nothing but the seed are one
            point, their mean.
        measure: Key of a number or a truth value; runs without it are left out.
        file: Where.
    """
    points: dict[tuple[str, float], list[float]] = {}
    for row in rows:
        value, share = row[measure], row["share"]
        if isinstance(value, int | float) and isinstance(share, int | float):
            points.setdefault((_line_of(row), float(share)), []).append(float(value))
    figure, axes = _sheet("attacker's share of all transactions", measure.replace("_", " "))
    for line in dict.fromkeys(line for line, _ in points):
        shares = sorted(share for each, share in points if each == line)
        means = [sum(points[line, share]) / len(points[line, share]) for share in shares]
        axes.plot(shares, means, marker="o", label=line)
    if points:
        axes.legend()
    return _save(figure, file)


def _line_of(row: Mapping[str, object]) -> str:
    interval = row["milestone_interval_s"]
    confirmed = "no milestones" if interval is None else f"milestones every {interval} s"
    return f"{row['selector']}, α = {row['alpha']}, {confirmed}"


def _tips(record: Record) -> Figure:
    figure, axes = _sheet("time, s", "tips that an issuer sees")
    axes.plot([one.at_s for one in record.samples], [one.tips for one in record.samples], lw=0.8)
    experiment = record.experiment
    level = expected_tips(experiment.total_rate_per_s, experiment.delay_s, experiment.parents)
    axes.axhline(level, ls="--", color="grey", label="kλh / (k − 1), random tips")
    axes.legend()
    return figure


def _weights(record: Record) -> Figure:
    figure, axes = _sheet("age, s", "mean cumulative weight")
    curve = weight_curve(record)
    axes.plot([age_s for age_s, _ in curve], [weight for _, weight in curve])
    axes.set_yscale("log")
    return figure


def _first_approval(record: Record) -> Figure:
    figure, axes = _sheet("time until the first approval, s", "honest transactions")
    ages_s = first_approvals_s(record, 0.0, record.end_s)
    if ages_s:
        axes.hist(ages_s, bins=_BINS)
    experiment = record.experiment
    mean_s = expected_first_approval_s(experiment.delay_s, experiment.parents)
    axes.axvline(mean_s, ls="--", color="grey", label="mean with random tips")
    axes.legend()
    return figure


def _left_behind(record: Record) -> Figure:
    figure, axes = _sheet("time, s", "tips left behind")
    samples = record.samples
    axes.plot([one.at_s for one in samples], [one.left_behind for one in samples])
    axes.set_ylim(0, max(1, 1.05 * max(one.left_behind for one in samples)))
    return figure


def _confidence(record: Record) -> Figure:
    figure, axes = _sheet("age, s", "confirmation confidence, %")
    for number in dict.fromkeys(one.number for one in record.beliefs):
        own = [one for one in record.beliefs if one.number == number]
        axes.plot([one.age_s for one in own], [one.percent for one in own], lw=0.8)
    axes.set_ylim(0, 101)
    return figure


def _sheet(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(figure: Figure, file: Path) -> Path:
    is_svg = file.suffix == ".svg"
    with rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(file, metadata={"Date": None} if is_svg else {"Software": None})
    return file
