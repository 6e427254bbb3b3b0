"""Looking back over what became of transactions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.journal.entries import Arrival, Batch
from edge.journal.history import NEWEST, Place
from edge.journal.journal import Journal
from tangle.outcomes import Applied, Event, Ignored, Reason
from tests.edge.making import GENESIS, NETWORK, arrival, confirmed

A, B = arrival(1), arrival(2)
M1 = arrival(3, (A.tx_id, B.tx_id))
C = arrival(4, (A.tx_id, M1.tx_id))
M2 = arrival(5, (C.tx_id, M1.tx_id))
EVENTS = (Event("x.done", (("amount_ueur", 5),)),)
LATE = arrival(6, (M1.tx_id, M2.tx_id))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path, NETWORK) as opened:
        opened.restore(GENESIS, 20)
        first = confirmed(1, M1, A, B, outcome=Ignored(Reason.SELF))
        second = confirmed(2, M2, M1, C, outcome=Applied(EVENTS))
        opened.commit(Batch((A, B, M1, C, M2, LATE), (first, second)))
        yield opened


def test_the_newest_come_first_and_what_waits_is_not_there(journal: Journal) -> None:
    found = journal.history.before(NEWEST, 10)

    assert [(one.tx_id, one.place) for one in found] == [
        (C.tx_id, (2, 1)),
        (M1.tx_id, (2, 0)),
        (B.tx_id, (1, 1)),
        (A.tx_id, (1, 0)),
    ]
    assert [one.outcome for one in found] == [
        Applied(EVENTS),
        Applied(EVENTS),
        Ignored(Reason.SELF),
        Ignored(Reason.SELF),
    ]


@pytest.mark.parametrize(
    ("before", "most", "expected"),
    [
        (NEWEST, 1, [C]),
        (Place(2, 1), 2, [M1, B]),
        (Place(2, 0), 10, [B, A]),
        (Place(1, 0), 10, []),
        (NEWEST, 0, []),
    ],
)
def test_a_look_begins_below_a_place_and_ends_at_a_number(
    journal: Journal, before: Place, most: int, expected: list[Arrival]
) -> None:
    found = journal.history.before(before, most)

    assert [one.tx_id for one in found] == [one.tx_id for one in expected]
