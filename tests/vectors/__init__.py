"""Vectors: published ones, and our own, which `scripts/make_vectors.py` writes."""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """Return what `<name>.json` holds."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content
