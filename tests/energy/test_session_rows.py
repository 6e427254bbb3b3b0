"""A member's many sessions are one row: it is read and written once, however many they are."""

from collections.abc import Callable, Mapping

import pytest
from typing_extensions import override

from energy.powerchain.calls import Actual, CloseSession, OpenSession, Produced
from energy.powerchain.records import SESSION_PREFIX, due_sessions, sessions_of, unit_at
from energy.powerchain.sessions import give_back, lose
from tangle.rows import Draft, RowReader
from tests.energy.town import HOUR_MS, WHO, Town, town_with_battery

U1 = WHO["U1"]
MANY = 24


class CountedDraft(Draft):
    """A draft that counts how often rows of sessions are looked at, and written."""

    def __init__(self, below: RowReader) -> None:
        super().__init__(below)
        self.looks = 0
        self.writes = 0

    @override
    def get(self, key: bytes) -> bytes | None:
        self.looks += key.startswith(SESSION_PREFIX)
        return super().get(key)

    @override
    def put(self, changes: Mapping[bytes, bytes | None]) -> None:
        self.writes += sum(key.startswith(SESSION_PREFIX) for key in changes)
        super().put(changes)


def town_of_sessions(count: int) -> Town:
    """Return a town in which B and C have so many sessions each, and nothing else is free."""
    town = town_with_battery()
    town.all("U1", Produced(WHO["B"], 10_000))
    for member in ("B", "C"):
        for _ in range(count):
            town.all(member, OpenSession(U1, 10_000), CloseSession(U1))
    unit = unit_at(town.rows, U1)
    assert unit is not None
    town.all("U1", Actual(unit.stored_wh - unit.free_wh))
    return town


def work_of_a_loss(count: int) -> tuple[int, int]:
    town = town_of_sessions(count)
    unit = unit_at(town.rows, U1)
    assert unit is not None
    draft = CountedDraft(town.rows)

    _, events = lose(draft, U1, unit, unit.stored_wh // 2)

    assert len(events) == 2 * count
    return draft.looks, draft.writes


def work_of_returning(count: int) -> tuple[int, int]:
    town = town_of_sessions(count)
    due = due_sessions(town.rows, town.now_ms + 100 * HOUR_MS)
    draft = CountedDraft(town.rows)

    events = give_back(draft, due, "expired")

    assert len(events) == 2 * count
    assert list(sessions_of(draft, U1)) == []
    return draft.looks, draft.writes


@pytest.mark.parametrize("work", [work_of_a_loss, work_of_returning])
def test_the_row_of_a_member_is_written_once(work: Callable[[int], tuple[int, int]]) -> None:
    looks, writes = work(MANY)

    assert writes == 2
    assert looks == work(2)[0]
