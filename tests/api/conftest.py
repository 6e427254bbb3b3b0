from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.http import create_app
from api.node_service import NodeApi
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
