"""Slot sums between two whole nodes: real links, journals and loops."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

from api.network.ports import free_ports
from edge.ground.clock import Clock, system_monotonic_ms
from edge.journal.sealing import SaltedReading, open_sealed, sealing_key
from edge.journal.settled import SharedPeriod
from edge.runtime import EdgeNode
from edge.settlement.settings import SettledUnit, SettlingSettings
from edge.settlement.settling import Settling
from energy.powerchain.records import unit_at
from tangle.address import Address
from tests.community import START_MS
from tests.edge.meshed import NEW_KEY, OLD_KEY, running, wait_until
from tests.edge.settling_home import (
    ANNA,
    FIRST_MS,
    HOUR_MS,
    UNIT_ADDRESS,
    whose,
)
from tests.edge.settling_village import Village
from tests.tangle.cores import GENESIS, milestone

WITHIN_S = 60


def settling_at(node: EdgeNode, *, settles: bool) -> Settling:
    def opened(device: Address, first: int, last: int) -> Iterable[tuple[int, SaltedReading]]:
        for taken in node.journal.readings(device, first, last):
            yield taken.sequence, open_sealed(sealing_key(node.key), taken)

    unit = SettledUnit(UNIT_ADDRESS, UNIT_ADDRESS, node.issuance)
    settings = SettlingSettings(ZoneInfo("UTC"), HOUR_MS, (unit,) if settles else ())
    return Settling(node.executor, opened, node.clock, settings, node.issuance, node.mesh)


class Now:
    """One clock for both nodes: it runs, and the test sets it forward."""

    def __init__(self, wall_ms: int) -> None:
        self._ahead_ms = wall_ms - system_monotonic_ms()

    @property
    def wall_ms(self) -> int:
        return self._ahead_ms + system_monotonic_ms()

    def reach(self, wall_ms: int) -> None:
        self._ahead_ms += max(0, wall_ms - self.wall_ms)

    def clock(self) -> Clock:
        return Clock(GENESIS, lambda: self.wall_ms, system_monotonic_ms)


def confirm(node: EdgeNode, now: Now) -> None:
    """Issue a milestone over all that a node has."""
    parents = sorted(node.core.graph.tips)[:6] or [node.core.confirmed_id]
    latest = node.core.graph.referenced_at(node.core.confirmed_index)[0]
    drafted = milestone(node.core, sorted({*parents, latest}), now.wall_ms - START_MS)
    node.submit(drafted.data)


async def scenario(folder: Path, now: Now) -> tuple[int, list[SharedPeriod], int]:
    """Let an hour end; only then the home edge of one of the members starts.

    Returns:
        How many periods were settled without it, all in the end, and what the home edge's ledger
        says that the unit holds.
    """
    (port,) = free_ports(1, "127.0.0.1")
    async with running(folder / "settler", OLD_KEY, port, clock=now.clock()) as settler:
        settled, at_settler = settler.journal.settled(OLD_KEY), settling_at(settler, settles=True)
        now.reach(FIRST_MS + HOUR_MS + 2_000)
        confirm(settler, now)
        await at_settler.step()
        await at_settler.step()
        before = len(settled.shared(0, 2**50))
        async with running(folder / "home", NEW_KEY, port, clock=now.clock()) as home:
            at_home = settling_at(home, settles=False)
            looks = [asyncio.create_task(one.run()) for one in (at_settler, at_home)]
            try:
                await wait_until(
                    lambda: len(settled.shared(0, 2**50)) > before, "not settled", WITHIN_S
                )
                await wait_until(lambda: len(settler.core.graph.tips) > 0, "no report", WITHIN_S)
                confirm(settler, now)
                confirmed = settler.core.confirmed_id
                await wait_until(lambda: home.core.confirmed_id == confirmed, "not alike", WITHIN_S)
            finally:
                for look in looks:
                    look.cancel()
                await asyncio.wait(looks)
            unit = unit_at(home.core.ledger.rows, UNIT_ADDRESS)
            assert unit is not None
            return before, settled.shared(0, 2**50), unit.stored_wh


def test_a_unit_is_settled_for_a_member_of_another_node_that_starts_late(tmp_path: Path) -> None:
    village = Village(tmp_path)
    village.found()
    village.two_hours()
    village.settle()
    now = Now(village.settler.now_ms)
    village.close()

    before, shared, stored_wh = asyncio.run(scenario(tmp_path, now))

    assert (before, stored_wh) == (1, 3_000)
    assert [(one.end_ms, one.missing) for one in shared[1:]] == [(FIRST_MS + HOUR_MS, ())]
    anna = {one.member: one for one in shared[1].members}[whose(ANNA)]
    assert (anna.export_wh, anna.charge_wh) == (4_000, 3_000)
