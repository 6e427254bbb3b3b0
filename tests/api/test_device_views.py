"""A home edge lists a meter that does not obey its relay, and counts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.http.app import create_app
from api.node.metrics import Stand
from edge.meters.obedience import Obedience
from tests.api.asking import ask
from tests.api.metered_node import METER_ADDRESS, register
from tests.api.small_node import SmallNode, api_of

RELAY = Obedience(
    limit_w=500,
    since_ms=7,
    served_index=3,
    said_limit_w=0,
    said_index=2,
    in_a_row=2,
    excess_wh=40,
    disobeyed_at_ms=9,
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path) as node:
        register(node)
        node.told_stand = Stand(relays={METER_ADDRESS: RELAY}, disobeyed=3)
        yield node


def test_a_home_edge_lists_a_meter_that_does_not_obey(node: SmallNode) -> None:
    (device,) = ask(create_app(api_of(node)), "GET", "/api/v1/devices").json()["devices"]

    assert device["relay"] == {
        "asked_w": 500,
        "since_ms": 7,
        "served_index": 3,
        "said_w": 0,
        "said_index": 2,
        "disobeys": True,
        "excess_wh": 40,
        "disobeyed_at_ms": 9,
    }


def test_monitoring_sees_relays_and_those_that_are_not_obeyed(node: SmallNode) -> None:
    shown = ask(create_app(api_of(node)), "GET", "/metrics").text

    assert 'tanglewatt_meter_relays{state="served"} 1' in shown
    assert 'tanglewatt_meter_relays{state="limited"} 1' in shown
    assert 'tanglewatt_meter_relays{state="disobeying"} 1' in shown
    assert "tanglewatt_meter_disobedient_readings_total 3" in shown
