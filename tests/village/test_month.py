"""The community of `up` lives a month on a fake clock: all adds up, bills are the money that moved.

Its last week, with the day of 92 quarter-hours; the whole month with TANGLEWATT_NIGHTLY=1.
"""

import asyncio
import json
import os
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
import pytest
import structlog
from typer.testing import Result

from api.network.people import battery_rating
from devices.sources.battery import stored_wh
from devices.sources.profile import household_profile
from edge.meters import metering
from energy.bills.days import stretch
from energy.bills.files import sums_csv
from energy.powerchain.records import unit_at
from energy.queries import Names, ask
from energy.settlement.slots import SLOT_MS
from tangle.address import encode_address
from tests.village.community import EDGE, HOMES, MEMBERS, UNIT, whose
from tests.village.month import Month, equations

NIGHTLY: Final = os.environ.get("TANGLEWATT_NIGHTLY") == "1"
DAYS: Final = stretch("2026-03-01" if NIGHTLY else "2026-03-25", "2026-03-31")
DEADLINE_S: Final = 900 if NIGHTLY else 540
VERIFIED: Final = 0
"""Which member computes its bill anew."""

MAX_OPEN_PERIODS: Final = 24
"""Three days: what a night opens is closed by what the sun charges, if not on a dull day."""

DONE: Final = {
    "bill.issued",
    "bill.paid",
    "energy.consumed",
    "energy.connected",
    "energy.delegated",
    "energy.drawn",
    "energy.produced",
    "energy.session_ended",
    "energy.session_opened",
    "governance.parameter_set",
    "market.expired",
    "market.traded",
    "readings.committed",
}

_log: Final = structlog.get_logger(__name__)


def test_a_month_of_the_community_adds_up_and_its_bills_are_the_money_that_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "IDLE_S", 0.002)  # the clock of the village waits for nobody
    month = Month(tmp_path, DAYS, household_profile())

    async def live() -> Result:
        async with asyncio.timeout(DEADLINE_S):
            await month.live()
            return await month.verify(VERIFIED)

    with month.node.journal:
        verified = asyncio.run(live())

        _say(month)
        _check_days(month)
        _check_energy(month)
        _check_battery(month)
        _check_audit(month)
        _check_a_watt_hour_is_missed(month)
    assert verified.exit_code == 0, verified.output
    assert "not proven" not in verified.stdout


def _check_days(month: Month) -> None:
    """All did what there is to do, and one day had 92 quarter-hours."""
    assert set(month.node.seen) >= DONE
    assert set(month.node.link.newest) == set(month.node.devices)
    assert month.starts[-1] - month.starts[1] == (96 * len(DAYS.days) - 4) * SLOT_MS
    for customer, sums in month.sums.items():
        assert [one.day for one in sums] == list(DAYS.days), customer.hex()


def _check_energy(month: Month) -> None:
    """What is billed as the battery's is what was reported of intervals that ended in the days."""
    figures = month.figures()
    drawn_wh = figures.from_battery_wh + figures.from_grid_wh
    given_wh = figures.charged_wh + figures.feed_in_wh
    assert figures.produced_wh + drawn_wh == figures.load_wh + given_wh
    assert figures.charged_wh == _reported_wh(month, "produced") > 0
    assert figures.from_battery_wh == _reported_wh(month, "consumed") > 0


def _reported_wh(month: Month, kind: str) -> int:
    shared = month.node.journal.settled(EDGE).shared(month.starts[0], month.periods.stop)
    return sum(
        one.energy_wh
        for period in shared
        for one in period.reports
        if one.kind == kind and month.starts[1] < one.interval_end_ms <= month.starts[-1]
    )


def _check_battery(month: Month) -> None:
    """The ledger has what the battery holds, and a gap of a night closes."""
    rows, rating = month.node.core.ledger.rows, battery_rating(HOMES)
    unit = unit_at(rows, UNIT)
    assert unit is not None
    rounded_off_wh = stored_wh(rating, month.energy()) - unit.stored_wh
    assert 0 <= rounded_off_wh <= month.node.seen["energy.produced"]  # each is rounded down
    assert rounded_off_wh < rating.reserve_wh
    open_for = [len(list(run)) for is_open, run in groupby(map(bool, month.gaps_uent)) if is_open]
    assert 0 < max(open_for) <= MAX_OPEN_PERIODS
    # who decide on one sight may want the same free energy
    assert {reason for _, reason in month.node.refused} <= {"INSUFFICIENT_ENERGY"}
    _log.info("battery", rounded_off_wh=rounded_off_wh, gap_open_for_periods=max(open_for))


def _check_audit(month: Month) -> None:
    """Everything known holds: of the ledger, of flows, homes, the unit, and bills."""
    result, figures = month.audit(), month.figures()
    assert result.exit_code == 0, result.output
    found = equations(result)
    assert json.loads(result.stdout)["holds"] is True
    assert found["bill.money"] == [figures.billed_ueur]
    assert found["bill.paid"] == [figures.moved_ueur]
    assert figures.billed_ueur == figures.moved_ueur > 0
    assert len(month.bills) == len(found["bill.digest"]) == HOMES + 1
    assert len(found["home.energy"]) == len(found["home.drawn"]) == HOMES
    assert found["unit.charge"] == [month.energy().import_wh]
    assert found["unit.discharge"] == [month.energy().export_wh]
    assert len(found["unit.flow"]) == 1
    _log.info("audit", counts=json.loads(result.stdout)["counts"])


def _check_a_watt_hour_is_missed(month: Month) -> None:
    """An audit that finds everything in order finds one watt-hour too many."""
    member = whose(MEMBERS[VERIFIED])
    sums = month.sums[member]
    wrong = msgspec.structs.replace(sums[0], from_grid_wh=sums[0].from_grid_wh + 1)
    file = month.folder / "sums.csv"

    def audited(first: object) -> Result:
        file.write_text(sums_csv([first, *sums[1:]]), "utf-8")  # type: ignore[list-item] # a DaySum
        return month.audit("--sums", f"{encode_address(member)}={file}")

    assert audited(sums[0]).exit_code == 0
    result = audited(wrong)

    assert result.exit_code == 5
    assert '"broken":1' in result.stdout.replace(" ", "")


def _say(month: Month) -> None:
    """Log what docs/audit.md says of the month; `pytest -rP` shows it."""
    core, figures = month.node.core, month.figures()
    keys = ("total.ent", "total.energy", "gap", "rate")
    now = {one: ask(core.ledger.rows, one, Names({})) for one in keys}
    counts = {"milestones": core.confirmed_index, "readings": month.node.journal.counts().readings}
    percent = figures.self_sufficiency_percent
    said = {**asdict(figures), **now, **counts, "self_sufficiency_percent": percent}
    _log.info("a month", **said, events=dict(month.node.seen), battery=month.energy())
    _log.info("gap at the end of each period", uent=month.gaps_uent)
    _log.info("refused", what=month.node.refused)
    for bill in month.bills.values():
        _log.info("bill", number=bill.number, total_ueur=bill.content.total_ueur)
