"""Opens the network of a data folder, or makes it first: what `init` and `up` share."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.network.init import (
    Tools,
    create_network,
    existing_network,
    parse_recordings,
    read_recordings,
    refuse_foreign_folder,
    write_profile,
)
from api.network.plan import Wishes, make_plan, ports_needed
from api.network.ports import free_ports
from api.processes.pid_files import FolderLock, read_pid_file
from api.settings.config_fields import HOST_PATTERN, MAX_HOST_SIZE
from api.settings.layout import Layout, NetworkFile, has_network
from api.settings.private_files import create_folder, not_writable
from api.settings.records import LOOPBACK

NS_PER_MS = 1_000_000
_NUMBER = re.compile(r"-?[0-9]{1,9}")
"""What is meant as a number of homes and not as a folder: `./-1` is a folder."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the options of `init` and `up` say; `None` is no wish."""

    homes: str | None = None
    """A number of synthetic homes, or a folder of recordings."""

    edges: int | None = None
    time_scale: int | None = None
    name: str | None = None
    seed: int | None = None
    base_port: int | None = None
    coordinators: int | None = None
    quorum: int | None = None
    hosts: tuple[str, ...] = ()
    """`NAME=HOST` each."""

    people: bool | None = None
    """Whether the network is a demonstration, with people who act by themselves."""

    is_demonstration: bool = False
    """Whether a new network is one if nothing is wished."""


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the folder for one `init` or `up`. Raises `CommandError` if another holds it."""
    refuse_foreign_folder(layout)
    create_folder(layout.root)
    with ExitStack() as held:
        try:
            held.enter_context(FolderLock(layout.lock_file))
        except BlockingIOError as error:
            raise _in_use(layout) from error
        except OSError as error:
            raise not_writable(layout.lock_file, error) from error
        yield


def make_or_open(layout: Layout, request: Request) -> tuple[NetworkFile, bool]:
    """Return the network of a folder that is locked, and whether it was made just now.

    Raises:
        CommandError: What is asked for cannot be, or the folder holds another network.
    """
    contents: dict[str, bytes] = {}
    count: int | None = None
    if request.homes is not None and _NUMBER.fullmatch(request.homes):
        count = int(request.homes)  # below 1 too: the plan says what is allowed
    elif request.homes is not None:
        contents = read_recordings(Path(request.homes).expanduser())
    starts = {
        name: one.rows[0].interval_start_ms for name, one in parse_recordings(contents).items()
    }
    wishes = Wishes(
        edges=request.edges,
        homes=count,
        recordings=starts or None,
        time_scale=request.time_scale,
        name=request.name,
        seed=request.seed,
        base_port=request.base_port,
        hosts=_hosts(request.hosts),
        coordinators=request.coordinators,
        quorum=request.quorum,
        people=request.people,
    )
    if has_network(layout):
        return existing_network(layout, wishes), False
    if wishes.people is None:
        wishes = replace(wishes, people=request.is_demonstration)
    plan = make_plan(wishes, time.time_ns() // NS_PER_MS, _ports(wishes))
    return create_network(layout, plan, contents, Tools(os.urandom, write_profile)), True


def _in_use(layout: Layout) -> CommandError:
    other = read_pid_file(layout.up_pid_file)
    who = f"process {other.pid}" if other is not None else "another init or up"
    return CommandError(
        Failure(
            FailureCode.ALREADY_RUNNING,
            ExitCode.FAILED,
            f"{layout.root} is in use by {who}",
            "one `init` or `up` at a time may work on a data folder",
            f"stop it with `tanglewatt down --data-dir {layout.root}`, or use another folder",
        )
    )


def _ports(wishes: Wishes) -> list[int]:
    count = ports_needed(wishes)
    if wishes.base_port is None:
        return free_ports(count, LOOPBACK)
    return list(range(wishes.base_port, wishes.base_port + count))


def _hosts(named: tuple[str, ...]) -> dict[str, str]:
    hosts: dict[str, str] = {}
    for one in named:
        name, separator, host = one.partition("=")
        is_host = len(host) <= MAX_HOST_SIZE and re.fullmatch(HOST_PATTERN, host)
        if not (name and separator and is_host):
            raise CommandError(
                Failure(
                    FailureCode.BAD_ARGUMENT,
                    ExitCode.USAGE,
                    f"--host {one}",
                    "must be NAME=HOST, a host of letters, digits and . : _ -",
                    "for example --host edge-1=10.0.0.5",
                )
            )
        hosts[name] = host
    return hosts
