"""What a member sees of what waits for late reports, and of what returned by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.http.app import create_app
from tests.api.small_node import api_of
from tests.api.test_http_energy import bound, get
from tests.api.town_node import TEXT, TownNode


@pytest.fixture
def town(tmp_path: Path) -> Iterator[TownNode]:
    with TownNode(tmp_path) as node:
        yield node


@pytest.fixture
def app(town: TownNode) -> FastAPI:
    return create_app(api_of(town))


def test_a_member_sees_what_waits_and_what_returned_by_itself(town: TownNode, app: FastAPI) -> None:
    bound(town)
    town.does("B", "energy.close_session", unit="U")
    town.does("B", "energy.connect", unit="U", edge="E", limit="1 ENT")
    town.confirm(after_ms=900_000)

    shown = get(app, f"members/{TEXT['B']}")
    (session,), (signed,) = shown["sessions"], shown["connections"]
    assert (session["is_open"], session["amount_uent"]) == (False, 2_000_000)
    assert (signed["limit_uent"], signed["falls_to_uent"]) == (3_000_000, 1_000_000)
    assert signed["falls_at_ms"] > session["expires_at_ms"]
    town.confirm(after_ms=3 * 86_400_000)

    ended = get(app, "milestones/latest")["ended"]
    assert [one["name"] for one in ended] == ["energy.session_ended", "market.expired"]
    assert ended[0]["fields"]["member"] == TEXT["B"]
    assert ended[0]["fields"]["returned_uent"] == 2_000_000
    shown = get(app, f"members/{TEXT['B']}")
    assert (shown["sessions"], shown["ent_locked_uent"]) == ([], 0)
    assert shown["connections"][0]["limit_uent"] == 1_000_000
