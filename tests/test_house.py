"""Limits of the house that no tool holds."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "tangle",
    "tip_selection",
    "devices",
    "coordinator",
    "edge",
    "energy",
    "access",
    "api",
    "tests",
    "scripts",
)
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 60
VAGUE = {"utils", "util", "helpers", "common", "misc", "base", "manager"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_stays_readable(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    long = [
        f"{node.name}: {(node.end_lineno or node.lineno) - node.lineno + 1} lines"
        for node in functions
        if (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    inner = [
        f"{function.name} imports"
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert len(text.splitlines()) <= MAX_MODULE_LINES
    assert long == []
    assert inner == []
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_holds_one_side_of_every_merge(path: Path) -> None:
    starts = ("<<<<<<< ", ">>>>>>> ")

    assert [line for line in path.read_text("utf-8").splitlines() if line.startswith(starts)] == []
