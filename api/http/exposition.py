"""Metrics as text: Prometheus' exposition format 0.0.4. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a family."""

    value: float
    labels: Labels = ()
    suffix: str = ""
    """Behind the family's name: of a histogram's parts."""


@dataclass(frozen=True, slots=True)
class Family:
    """All values of one name."""

    name: str
    """Without the suffixes of a histogram."""

    kind: Literal["counter", "gauge", "histogram"]
    about: str
    """One line."""

    samples: tuple[Sample, ...]


@dataclass(slots=True)
class Histogram:
    """Counts what was observed in buckets. Mutable; owned by who observes."""

    bounds: tuple[float, ...]
    """Upper bounds, inclusive, ascending; the last bucket, without one, comes by itself."""

    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self) -> tuple[Sample, ...]:
        """Return buckets, each with all below it, sum and count."""
        running, samples = 0, list[Sample]()
        for bound, count in zip((*self.bounds, None), self.counts, strict=True):
            running += count
            shown = "+Inf" if bound is None else _shown(bound)
            samples.append(Sample(running, (("le", shown),), "_bucket"))
        return (*samples, Sample(self.total, (), "_sum"), Sample(running, (), "_count"))


def gauge(name: str, about: str, value: float) -> Family:
    """Return a family of one value that goes up and down."""
    return Family(name, "gauge", about, (Sample(value),))


def counter(name: str, about: str, value: float) -> Family:
    """Return a family of one value that only grows, from the start of the process."""
    return Family(name, "counter", about, (Sample(value),))


def labelled(
    name: str,
    kind: Literal["counter", "gauge"],
    about: str,
    label: str,
    values: Mapping[str, float],
) -> Family:
    """Return a family of one value for each value of one label, in order of these."""
    samples = (Sample(value, ((label, key),)) for key, value in sorted(values.items()))
    return Family(name, kind, about, tuple(samples))


def exposition(families: Iterable[Family]) -> str:
    """Return the text of all families."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escaped(family.about)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [
            f"{family.name}{sample.suffix}{_braced(sample.labels)} {_shown(sample.value)}"
            for sample in family.samples
        ]
    return "\n".join(lines) + "\n"


def _braced(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return "{" + inside + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _shown(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else repr(value)
