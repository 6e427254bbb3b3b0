"""Who asks a home edge for sums of ever more units takes nobody else's place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.mesh.slot_sums import SumsQuery
from edge.settlement import telling
from tangle.effects import PeerId
from tests.edge.settling_home import UNIT_ADDRESS
from tests.edge.settling_village import STRANGER, Village
from tests.tangle.cores import EDGE, NOW


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    village = Village(tmp_path)
    village.found()
    village.two_hours()
    yield village
    village.close()


def test_a_peer_that_asks_for_everything_is_not_asked_in_anothers_place(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "MAX_QUERIES", 8)
    told = village.home.settling._telling
    for at in range(20):
        told.hear(PeerId(STRANGER.public), SumsQuery(at.to_bytes(32), 0, 0), NOW)  # type: ignore[arg-type] # an address is bytes

    told.hear(PeerId(EDGE.public), SumsQuery(UNIT_ADDRESS, 0, 0), NOW)
    told.step()

    assert told.counts["unanswered"] == 13
    assert told.counts["refused"] == 7
    answers = [frame for to, frame in village.wire.frames if to == PeerId(EDGE.public)]
    assert len(answers) == told.counts["told"] == 1
