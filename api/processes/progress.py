"""What people see while a network runs: steps, one live line, and what happens to processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console
from rich.status import Status
from rich.text import Text
from typing_extensions import override

from api.processes.children import Phase, ProcessEvent
from api.processes.figures import Figures, as_json
from api.terminal.talk import put_json, say

PLAIN_INTERVAL_MS: Final = 5_000
"""Between two status lines where they cannot change in place."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The network at one moment, for the live line."""

    elapsed_ms: int
    index: int
    """Lowest milestone confirmed on any node that answered."""

    sent: int
    confirmed: int
    """Lowest count of any node that answered."""

    nodes: int
    answering: int
    meters: int
    measuring: int

    def line(self) -> str:
        """Return one line of text."""
        seconds = self.elapsed_ms // 1_000
        clock = f"{seconds // 3_600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return (
            f"{clock}  milestone {self.index} · readings sent {self.sent}, confirmed on all nodes"
            f" {self.confirmed} · {self.answering}/{self.nodes} nodes answer"
            f" · {self.measuring}/{self.meters} meters run"
        )


class Reporter(Protocol):
    """Where the progress of `up` goes."""

    def step(self, name: str, detail: str) -> None:
        """Tell that something has been done or has come up."""
        ...

    def process(self, event: ProcessEvent) -> None:
        """Tell what happened to a process."""
        ...

    def status(self, status: RunStatus) -> None:
        """Tell how the network stands."""
        ...

    def community(self, figures: Figures) -> None:
        """Tell how the community fares."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class PlainReporter:
    """Lines on stderr, for logs and pipes."""

    def __init__(self) -> None:
        self._told_ms = -PLAIN_INTERVAL_MS
        self._ready: set[str] = set()

    def step(self, name: str, detail: str) -> None:
        """Print a ticked line."""
        self._print(f"✔ {name:<12} {detail}".rstrip())

    def process(self, event: ProcessEvent) -> None:
        """Print a line when a process comes up, comes back, dies or finishes."""
        match event.phase:
            case Phase.READY if event.name in self._ready:
                self._print(f"✔ {event.name:<12} back")
            case Phase.READY:
                self._ready.add(event.name)
                if event.detail:  # who has no address, a meter, is told of in one line for all
                    self.step(event.name, event.detail)
            case Phase.RESTARTING | Phase.FAILED:
                self._print(f"✘ {event.name:<12} {event.detail}")
            case Phase.WAITING | Phase.STARTING | Phase.FINISHED | Phase.STOPPED:
                pass

    def status(self, status: RunStatus) -> None:
        """Print the status every few seconds."""
        if status.elapsed_ms - self._told_ms >= PLAIN_INTERVAL_MS:
            self._told_ms = status.elapsed_ms
            self._print(f"  {status.line()}")

    def community(self, figures: Figures) -> None:
        """Print a line."""
        self._print(f"☀ {figures.line()}")

    def close(self) -> None:
        """Do nothing: lines stay."""

    def _print(self, line: str) -> None:
        say(line)


class TerminalReporter(PlainReporter):
    """Ticked lines, and below them one line that changes in place."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._live: Status | None = None

    @override
    def status(self, status: RunStatus) -> None:
        # cut rather than wrapped: a line of two rows cannot change in place
        line = Text(status.line(), no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = self._console.status(line)
            self._live.start()
        self._live.update(line)

    @override
    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @override
    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)


class JsonReporter:
    """Lines for people as another reporter writes them, and one object a line on stdout."""

    def __init__(self, people: Reporter) -> None:
        self._people = people

    def step(self, name: str, detail: str) -> None:
        """Tell both."""
        self._people.step(name, detail)
        self._put({"event": "step", "name": name, "detail": detail})

    def process(self, event: ProcessEvent) -> None:
        """Tell both."""
        self._people.process(event)
        named = {"name": event.name, "phase": event.phase.value, "detail": event.detail}
        self._put({"event": "process", **named})

    def status(self, status: RunStatus) -> None:
        """Tell people only: programs get the numbers at the end."""
        self._people.status(status)

    def community(self, figures: Figures) -> None:
        """Tell both."""
        self._people.community(figures)
        self._put({"event": "community", **as_json(figures)})

    def close(self) -> None:
        """Close the other."""
        self._people.close()

    def _put(self, value: Mapping[str, object]) -> None:
        put_json(value)
