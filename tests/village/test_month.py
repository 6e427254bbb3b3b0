"""A village lives a month on a fake clock: everything adds up, bills are the money that moved.

Its last week, with the day of 92 quarter-hours; the whole month with TANGLEWATT_NIGHTLY=1.
"""

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec
import pytest
import structlog
from typer.testing import Result

from devices.sources.profile import household_profile
from edge.meters import metering
from energy.bills.days import stretch
from energy.queries import Names, ask
from energy.settlement.slots import SLOT_MS
from tests.village.month import HOMES, OWNER, UNIT, Month, whose

NIGHTLY: Final = os.environ.get("TANGLEWATT_NIGHTLY") == "1"
DAYS: Final = stretch("2026-03-01" if NIGHTLY else "2026-03-25", "2026-03-31")
DEADLINE_S: Final = 540
DONE: Final = {
    "readings.committed",
    "energy.produced",
    "energy.drawn",
    "energy.session_opened",
    "energy.session_ended",
    "energy.reported",
    "market.traded",
    "market.expired",
    "bill.issued",
    "bill.paid",
}

_log: Final = structlog.get_logger(__name__)


def test_a_month_of_a_village_adds_up_and_its_bills_are_the_money_that_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "IDLE_S", 0.002)  # the clock of the village waits for nobody
    month = Month(tmp_path, DAYS, household_profile())

    async def live() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await month.live()

    with month.node.journal:
        asyncio.run(live())

        _check_days(month)
        _check_energy(month)
        _check_audit(month, month.audit(month.settled_sums))
        _check_a_watt_hour_is_missed(month)


def _check_days(month: Month) -> None:
    """All did what there is to do, and one day had 92 quarter-hours."""
    assert set(month.node.seen) >= DONE
    assert set(month.node.link.newest) == set(month.node.devices)
    assert month.node.refused == []
    assert month.starts[-1] - month.starts[1] == (96 * len(DAYS.days) - 4) * SLOT_MS
    for customer, sums in month.settled_sums.items():
        assert [one.day for one in sums] == list(DAYS.days), customer.hex()


def _check_energy(month: Month) -> None:
    """What the homes exchanged with the battery is what its own registers say."""
    figures, of_unit = month.figures(), month.street.registers[UNIT]
    drawn_wh = figures.from_battery_wh + figures.from_grid_wh
    given_wh = figures.charged_wh + figures.feed_in_wh
    assert figures.produced_wh + drawn_wh == figures.load_wh + given_wh
    assert figures.charged_wh == of_unit.import_wh
    owned_wh = sum(one.feed_in_wh for one in month.settled_sums[whose(OWNER)])
    assert figures.from_battery_wh + owned_wh == of_unit.export_wh


def _check_audit(month: Month, result: Result) -> None:
    figures = month.figures()
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["holds"] is True
    found: dict[str, list[int]] = {}
    for one in said["equations"]:
        found.setdefault(one["name"], []).append(one["left"])
    assert found["bill.money"] == [figures.billed_ueur]
    assert found["bill.paid"] == [figures.moved_ueur]
    assert figures.billed_ueur == figures.moved_ueur > 0
    assert len(month.bills) == len(found["bill.digest"]) == HOMES + 1
    assert len(found["home.energy"]) >= HOMES * len(DAYS.days)
    _say(month, said["counts"])


def _check_a_watt_hour_is_missed(month: Month) -> None:
    """An audit that finds everything in order finds one watt-hour too many."""
    customer, sums = next(iter(month.settled_sums.items()))
    wrong = msgspec.structs.replace(sums[0], from_grid_wh=sums[0].from_grid_wh + 1)

    result = month.audit({customer: [wrong, *sums[1:]]})

    assert result.exit_code == 5
    assert '"broken":1' in result.stdout.replace(" ", "")


def _say(month: Month, equations: dict[str, int]) -> None:
    """Log what docs/audit.md says of the month; `pytest -rP` shows it."""
    core, figures = month.node.core, month.figures()
    keys = ("total.ent", "total.energy", "gap", "rate")
    now = {one: ask(core.ledger.rows, one, Names({})) for one in keys}
    counts = {"milestones": core.confirmed_index, "readings": month.node.journal.counts().readings}
    percent = figures.self_sufficiency_percent
    said = {**asdict(figures), **now, **counts, "self_sufficiency_percent": percent}
    _log.info("a month", **said, equations=equations, events=dict(month.node.seen))
    for bill in month.bills:
        _log.info("bill", number=bill.number, total_ueur=bill.content.total_ueur)
