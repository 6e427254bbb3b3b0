"""Network namespaces, each like a machine of its own, on one switch that a test can pull apart.

Nothing is made in the namespace of the machine itself, so neither its addresses nor its firewall
are touched, and two runs at once never meet.
"""

import ctypes
import json
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

COMMAND_LIMIT_S: Final = 10.0
CLONE_NEWNET: Final = 0x40000000
PORT: Final = "to-{}"
"""A name of sixteen characters is one too many for Linux."""

INTERFACE: Final = "eth0"
SWITCH: Final = "switch"
_SUBNET: Final = "10.77.0.{}"

_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Lab:
    """Machines on one switch, all in namespaces."""

    mark: str
    """In the name of each namespace: who made it, and that nobody else did."""

    machines: tuple[str, ...]

    def namespace(self, machine: str) -> str:
        """Return the name of the namespace that is a machine."""
        return f"{self.mark}-{machine}"

    def address(self, machine: str) -> str:
        """Return the address of a machine on the switch."""
        return _SUBNET.format(self.machines.index(machine) + 1)

    def command(self, machine: str, command: Sequence[str]) -> tuple[str, ...]:
        """Return how to run a command on a machine; its pid is that of what this starts."""
        return ("ip", "netns", "exec", self.namespace(machine), *command)

    def cut(self, machine: str) -> None:
        """Take a machine off the switch."""
        self._set_port(machine, "down")

    def heal(self, machine: str) -> None:
        """Put it back."""
        self._set_port(machine, "up")

    def narrow(self, machine: str, *discipline: str) -> str | None:
        """Let what a machine sends and gets pass a queue of the kernel; return why it cannot."""
        for namespace, device in self._ends(machine):
            why = _ip_refusal(
                "netns", "exec", namespace, "tc", "qdisc", "replace", "dev", device, "root",
                *discipline,
            )  # fmt: skip
            if why is not None:
                return why
        return None

    def lost_packets(self, machine: str) -> int:
        """Return how many packets these queues have dropped."""
        counted = []
        for namespace, device in self._ends(machine):
            inside = ("ip", "netns", "exec", namespace)
            command = [*inside, "tc", "-s", "-j", "qdisc", "show", "dev", device]
            counted += json.loads(subprocess.check_output(command, timeout=COMMAND_LIMIT_S))
        return sum(one["drops"] for one in counted)

    def widen(self, machine: str) -> None:
        """Take these queues away."""
        for namespace, device in self._ends(machine):
            _ip("netns", "exec", namespace, "tc", "qdisc", "del", "dev", device, "root")

    @contextmanager
    def inside(self, machine: str) -> Iterator[None]:
        """Let the sockets that this thread opens be a machine's own, for a while."""
        with Path(f"/proc/self/task/{threading.get_native_id()}/ns/net").open("rb") as home:
            _enter(Path("/run/netns", self.namespace(machine)))
            try:
                yield
            finally:
                _set_namespace(home.fileno())

    def _ends(self, machine: str) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return both ends of a machine's cable, each with its namespace."""
        switch = (self.namespace(SWITCH), PORT.format(machine))
        return switch, (self.namespace(machine), INTERFACE)

    def _set_port(self, machine: str, state: str) -> None:
        _ip("-n", self.namespace(SWITCH), "link", "set", PORT.format(machine), state)


@contextmanager
def lab(machines: Sequence[str]) -> Iterator[Lab]:
    """Make machines and take them away again, whatever happens; skip where that is not allowed."""
    made = Lab(f"tw-{os.getpid()}-{secrets.token_hex(3)}", tuple(machines))
    if shutil.which("ip") is None:
        pytest.skip("no network namespaces here: there is no `ip` command (iproute2)")
    switch = made.namespace(SWITCH)
    try:
        why = _ip_refusal("netns", "add", switch)
        why = why or _ip_refusal("-n", switch, "link", "add", "bridge", "type", "bridge")
        if why is not None:
            pytest.skip(f"no network namespaces here: {why}")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for machine in made.machines:
            _plug_in(made, machine)
        yield made
    finally:
        for machine in (SWITCH, *made.machines):
            if Path("/run/netns", made.namespace(machine)).exists():
                _ip("netns", "del", made.namespace(machine))


def _plug_in(made: Lab, machine: str) -> None:
    switch, namespace, port = made.namespace(SWITCH), made.namespace(machine), PORT.format(machine)
    _ip("netns", "add", namespace)
    # both ends are made where they belong: none ever shows up on the machine itself
    cable = ("type", "veth", "peer", "name", INTERFACE, "netns", namespace)
    _ip("-n", switch, "link", "add", port, *cable)
    _ip("-n", switch, "link", "set", port, "master", "bridge")
    _ip("-n", switch, "link", "set", port, "up")
    _ip("-n", namespace, "address", "add", f"{made.address(machine)}/24", "dev", INTERFACE)
    for device in ("lo", INTERFACE):
        _ip("-n", namespace, "link", "set", device, "up")


def _ip(*arguments: str) -> None:
    why = _ip_refusal(*arguments)
    assert why is None, f"ip {' '.join(arguments)}: {why}"


def _ip_refusal(*arguments: str) -> str | None:
    """Run `ip`; return what it says if it refuses."""
    done = subprocess.run(
        ["ip", *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )
    if not done.returncode:
        return None
    return " ".join(done.stderr.split()) or f"exit code {done.returncode}"


def _enter(namespace: Path) -> None:
    with namespace.open("rb") as file:
        _set_namespace(file.fileno())


def _set_namespace(descriptor: int) -> None:
    """Move this thread; `os.setns` does it from Python 3.12 on."""
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
