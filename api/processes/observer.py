"""Looks at a running network from outside: at what meters keep, and at what nodes answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from api.client.answers import DeviceAnswer, DevicesAnswer, InfoAnswer
from api.failures import CommandError
from api.processes.accounting import DeviceSeen, Journalled, MeterKept, NodeSeen
from tangle.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """Where one meter keeps its readings."""

    name: str
    address: str
    outbox: Path


class Questions(Protocol):
    """What is asked of a node; `NodeClient` asks it over HTTP."""

    def info(self) -> InfoAnswer:
        """Return who the node is and how far it has confirmed."""
        ...

    def devices(self) -> DevicesAnswer:
        """Return the registered devices and what is confirmed of each."""
        ...


@dataclass(frozen=True, slots=True)
class NodeDoor:
    """Where one node answers."""

    name: str
    client: Questions


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in one look: the meters first, then the nodes."""

    meters: tuple[MeterKept, ...]
    nodes: tuple[NodeSeen, ...]
    """Those that answered."""

    silent: tuple[str, ...]
    """Names of the nodes that did not."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Knows where to look; remembers nothing."""

    meters: tuple[MeterPlace, ...]
    nodes: tuple[NodeDoor, ...]
    read_produced: Callable[[Path], int]
    """Returns how many readings a meter has made, from its file.

    Raises `UnavailableError` for a meter that has not started yet.
    """

    async def look(self) -> Sight:
        """Read every meter's file, then ask every node, all at once."""
        kept = await asyncio.to_thread(self._read_meters)
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(asyncio.to_thread(see_node, door.name, door.client))
                for door in self.nodes
            ]
        answers = [task.result() for task in asked]
        return Sight(
            kept,
            tuple(answer for answer in answers if answer is not None),
            tuple(
                door.name
                for door, answer in zip(self.nodes, answers, strict=True)
                if answer is None
            ),
        )

    def _read_meters(self) -> tuple[MeterKept, ...]:
        return tuple(
            MeterKept(place.name, place.address, self._produced(place.outbox))
            for place in self.meters
        )

    def _produced(self, outbox: Path) -> int:
        try:
            return self.read_produced(outbox)
        except UnavailableError:
            return 0  # it has not started yet, so it has made none


def see_node(name: str, client: Questions) -> NodeSeen | None:
    """Return what one node says of itself and of the devices; `None` if it does not answer."""
    try:
        info, devices = client.info(), client.devices()
    except CommandError:
        return None  # it is starting, stopping or dead: the supervisor's business
    return NodeSeen(
        name=name,
        index=info.confirmed_index,
        state_root=info.state_root,
        transactions=info.transactions,
        milestones=info.milestones,
        devices={device.address: _seen(device) for device in devices.devices},
    )


def _seen(device: DeviceAnswer) -> DeviceSeen:
    own = device.journalled
    journalled = None
    if own is not None:
        through = -1 if own.through is None else own.through
        journalled = Journalled(own.count, through, own.import_wh, own.export_wh, own.forgotten)
    ranges: Sequence[tuple[int, int]] = device.ranges
    return DeviceSeen(
        device.confirmed,
        device.twice,
        tuple(ranges),
        journalled,
        device.audited,
        device.pruned,
    )
