from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.http.app import create_app
from api.network.init import create_network
from api.node.node_service import NodeApi
from api.settings.layout import Layout
from tests.api.made_network import plan, tools
from tests.api.small_node import SmallNode, api_of


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path) as small:
        yield small


@pytest.fixture
def service(node: SmallNode) -> NodeApi:
    return api_of(node)


@pytest.fixture
def app(service: NodeApi) -> FastAPI:
    return create_app(service)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "net")


@pytest.fixture
def made(layout: Layout) -> Layout:
    create_network(layout, plan(), {}, tools())
    return layout
