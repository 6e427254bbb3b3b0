"""A unit's members at two nodes: what the ledger is told is what all their meters counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.settlement.test_settling import two_hours
from tests.edge.settling_home import SettlingHome
from tests.edge.settling_village import Village


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    village = Village(tmp_path)
    yield village
    village.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[SettlingHome]:
    """One node that is home to all: what two must come to as well."""
    home = SettlingHome(tmp_path / "alone")
    home.found()
    two_hours(home)
    home.settle(hours=3)
    yield home
    home.journal.close()


def test_members_of_two_nodes_are_settled_as_if_they_were_of_one(
    village: Village, alone: SettlingHome
) -> None:
    village.found()
    village.two_hours()

    village.settle(hours=3)

    assert village.settler.applied == alone.applied
    assert village.settler.unit() == alone.unit()
    assert village.settler.shared() == alone.shared()
