"""What keeps simulations fast: every node looks at the same bytes."""

from functools import lru_cache

import pytest

from tangle.keys import is_opened
from tangle.verification import parse


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pure functions of bytes remember their answers within one test."""
    monkeypatch.setattr("tangle.node.parse", lru_cache(maxsize=20_000)(parse))
    monkeypatch.setattr("tangle.verification.is_opened", lru_cache(maxsize=20_000)(is_opened))
