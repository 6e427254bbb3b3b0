"""What `up` says at the end, as one JSON object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.processes.accounting import Journalled, Tally
from api.processes.figures import Figures, as_json

Registers = tuple[int, int]
"""Import and export, Wh."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that is known when the meters have stopped and the nodes were asked."""

    tally: Tally
    transactions: int
    milestones: int
    state_roots: Mapping[str, str]
    """By node, all after the same milestone if they converged."""

    has_converged: bool
    first_confirmed_s: float | None
    """From the start of `up` to the first new reading confirmed anywhere."""

    registers: Mapping[str, Journalled | None]
    """By meter."""

    recorded: Mapping[str, Registers]
    """Last row of each recording, by meter; empty for synthetic homes."""

    is_played_out: bool
    """Whether the recordings were played to their end."""

    figures: Figures | None = None
    """How the community fares; `None` if none acts by itself."""


def report(ending: Ending) -> dict[str, object]:
    """Return the object that `up --json` prints last."""
    return {
        "readings": {
            "sent": ending.tally.sent,
            "journalled": ending.tally.journalled,
            "confirmed": dict(ending.tally.confirmed),
            "lost": ending.tally.lost,
            "twice": ending.tally.twice,
        },
        "transactions": ending.transactions,
        "milestones": ending.milestones,
        "state_roots": dict(ending.state_roots),
        "converged": ending.has_converged,
        "seconds_to_first_confirmed": ending.first_confirmed_s,
        "registers": {name: _register(ending, name) for name in ending.registers},
        "community": None if ending.figures is None else as_json(ending.figures),
    }


def shortcomings(ending: Ending) -> list[str]:
    """Return what is not as it must be, one line each; empty if all is well."""
    tally = ending.tally
    lines = list(tally.missing)
    if tally.twice:
        lines.append(f"{tally.twice} readings are confirmed twice")
    counts = {"journalled": tally.journalled, **tally.confirmed}
    lines += [
        f"{name}: {count} readings, {tally.sent} were sent"
        for name, count in counts.items()
        if count != tally.sent
    ]
    if not ending.has_converged:
        roots = ", ".join(f"{name} {root[:16]}" for name, root in ending.state_roots.items())
        lines.append(f"the nodes do not agree on the state: {roots}")
    if ending.is_played_out:
        lines += [
            f"{name}: registers {_shown(ending.registers.get(name))}, its recording ends at {last}"
            for name, last in ending.recorded.items()
            if not _equals(ending.registers.get(name), last)
        ]
    return lines


def _register(ending: Ending, name: str) -> dict[str, object] | None:
    journalled = ending.registers[name]
    if journalled is None:
        return None
    values: dict[str, object] = {
        "import_wh": journalled.import_wh,
        "export_wh": journalled.export_wh,
    }
    if name in ending.recorded:
        values["equals_recording"] = _equals(journalled, ending.recorded[name])
    return values


def _equals(journalled: Journalled | None, last: Registers) -> bool:
    return journalled is not None and (journalled.import_wh, journalled.export_wh) == last


def _shown(journalled: Journalled | None) -> str:
    return "none" if journalled is None else f"({journalled.import_wh}, {journalled.export_wh})"
