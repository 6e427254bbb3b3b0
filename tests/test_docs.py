"""The documents say what the code does: links, names, numbers and lists are held against it."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
import typer

from access.codes import Code
from access.contract import AccessCall
from access.device import DeviceCall
from access.matching.matcher import CHECKS
from api import main
from api.exit_codes import ExitCode
from api.failures import CommandError, FailureCode
from api.http import (
    energy_forms,
    json_forms,
    routes_energy,
    routes_health,
    routes_ledger,
    routes_metrics,
    routes_page,
    routes_proofs,
    routes_readings,
    routes_snapshots,
    routes_stream,
)
from api.http import routes_submit as submit
from api.http.problems import problem_of
from api.http.stream import StreamEvent
from api.settings.config import KINDS
from edge.mesh.frames import Body
from energy.bills.contract import BillCall
from energy.ctt.calls import CttCall
from energy.governance.acts import Act, Vote
from energy.market.contract import MarketCall
from energy.transfer import Transfer
from tangle import errors
from tangle.errors import DamagedStoreError, InvalidError, TanglewattError, UnavailableError
from tangle.genesis import Parameters
from tangle.outcomes import Reason, State
from tangle.transaction import Payload, Witness
from tests.vectors import FOLDER as VECTORS
from tests.vectors import load

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
PACKAGES: Final = tuple(
    "tangle tip_selection energy access coordinator devices edge api".split()  # noqa: SIM905
)

_FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LIMIT: Final = re.compile(
    r"^\| (?:● )?`([A-Z_0-9]+)` \| ([\d,]+) \| \[([\w/]+\.py)\]", re.MULTILINE
)


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def links(text: str) -> list[tuple[str, str]]:
    """Return text and target of every link that stays within the project."""
    found = _LINK.findall(_FENCE.sub("", text))
    return [(words, target) for words, target in found if "://" not in target]


def anchors(text: str) -> set[str]:
    """Return the anchors that a forge makes of the headings."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def broken_links(text: str, file: Path) -> list[str]:
    """Return the targets that are not there."""
    broken = []
    for _, target in links(text):
        path, _, anchor = target.partition("#")
        aim = (file.parent / path).resolve() if path else file
        is_missing = not aim.exists() or not aim.is_relative_to(ROOT)
        if is_missing or (anchor and anchor not in anchors(aim.read_text("utf-8"))):
            broken.append(target)
    return broken


def undefined_names(text: str, file: Path) -> list[str]:
    """Return the code names whose linked module does not define them."""
    undefined = []
    for words, target in links(text):
        named = re.fullmatch(r"`([\w.]+)`", words)
        if named is None or not target.endswith(".py"):
            continue
        name = named[1].rpartition(".")[2]
        source = (file.parent / target).read_text("utf-8")
        if not re.search(
            rf"^\s*(?:(?:async )?def|class) {name}\b|^{name}\b.* = ", source, re.MULTILINE
        ):
            undefined.append(f"{named[1]} in {target}")
    return undefined


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level."""
    level = heading.partition(" ")[0]
    return text.partition(f"\n{heading}\n")[2].partition(f"\n{level} ")[0]


def first_column(text: str) -> list[str]:
    """Return the code in the first cell of every row of a table that starts with code."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def commands(marker: str) -> list[str]:
    """Return the lines of the block that stands below a marker in the README."""
    found = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)```", page("README.md"), re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks below {marker}"
    return [line for line in found[0].splitlines() if line]


def tags(union: object) -> set[str]:
    """Return the tags of a struct, or of the members of a union."""
    members = get_args(union) or (union,)
    return {str(one.__struct_config__.tag) for one in members}


# Links and names.


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere_and_names_are_defined_there(file: Path) -> None:
    text = file.read_text("utf-8")

    assert broken_links(text, file) == []
    assert undefined_names(text, file) == []


def test_a_planted_broken_link_is_noticed() -> None:
    text = "[a](docs/none.md) [b](docs/api.md#no-such) [c](docs/api.md#routes) [d](../away.md)"

    assert broken_links(text, ROOT / "README.md") == [
        "docs/none.md",
        "docs/api.md#no-such",
        "../away.md",
    ]


def test_a_planted_name_that_is_not_defined_is_noticed() -> None:
    text = "[`merkle_leaf`](tangle/merkle.py) [`merkle_root`](tangle/merkle.py)"

    assert undefined_names(text, ROOT / "README.md") == ["merkle_leaf in tangle/merkle.py"]


# The README and the decisions.


def test_the_readme_has_exactly_the_two_commands() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    start = "python3 -m venv .venv && .venv/bin/pip install "

    run, test = commands("run-command"), commands("test-command")

    assert run == [f"{start}-c constraints.txt . && .venv/bin/{project['name']} up"]
    assert test == [
        f"{start}-e '.[dev]' -c constraints.txt && .venv/bin/pytest -n 2 --dist loadfile"
    ]
    assert page("README.md").count("pip install") == 2
    assert project["name"] in project["scripts"]
    assert "dev" in project["optional-dependencies"]
    assert (ROOT / "constraints.txt").is_file()


def test_every_decision_is_in_the_index_under_its_title() -> None:
    titles = {
        file.name: file.read_text("utf-8").splitlines()[0]
        for file in (DOCS / "adr").glob("[0-9]*.md")
    }

    rows = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \|", page("docs/adr/README.md"), re.MULTILINE
    )

    assert {name: f"# {number} {title}" for number, name, title in rows} == titles
    numbers = [number for number, _, _ in rows]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "file", sorted((DOCS / "adr").glob("[0-9]*.md")), ids=lambda file: file.stem
)
def test_a_decision_has_status_context_decision_and_drawbacks(file: Path) -> None:
    text = file.read_text("utf-8")

    assert re.search(r"^Status: \w+", text, re.MULTILINE)
    assert _HEADING.findall(text)[1:] == ["Context", "Decision", "Drawbacks"]


def test_every_dependency_is_justified() -> None:
    declared = tomllib.loads(page("pyproject.toml"))["project"]["dependencies"]
    names = {re.split(r"[<>=~! ]", one)[0] for one in declared}

    assert names - set(first_column(page("docs/adr/0005-dependencies.md"))) == set()


# What the protocol page lists.


def test_states_reasons_and_tags_are_those_of_the_code() -> None:
    text = page("docs/protocol.md")
    rows = set(first_column(text))

    assert {str(state) for state in State} <= rows
    assert {str(reason) for reason in Reason} == {name for name in rows if name.isupper()} - {
        name for name, _, _ in _LIMIT.findall(text)
    }
    calls = (Transfer, DeviceCall, AccessCall, Vote, Act, MarketCall, CttCall, BillCall)
    for union in (Payload, Witness, Body, *calls):
        assert tags(union) <= rows


def test_every_domain_prefix_is_listed_and_no_other() -> None:
    sources = [file.read_text("utf-8") for name in PACKAGES for file in (ROOT / name).rglob("*.py")]
    used = {kind for source in sources for kind in re.findall(r'domain\("([^"]+)"\)', source)}

    listed = first_column(section(page("docs/protocol.md"), "## 2 Hashes and domain prefixes"))

    assert set(listed) == used


def test_parameters_have_their_defaults_and_ranges() -> None:
    hints = get_type_hints(Parameters, include_extras=True)
    text = section(page("docs/protocol.md"), "## 5 Genesis and parameters")
    rows = re.findall(r"^\| `(\w+)` \| `?([\w,]+)`? \| (.+?) \|", text, re.MULTILINE)
    parameters = Parameters()

    for name, default, limits in rows:
        assert default.replace(",", "") == str(getattr(parameters, name)), name
        if name != "admission":
            meta = get_args(hints[name])[1]
            assert limits == f"{meta.ge:,} to {meta.le:,}", name
    assert [name for name, _, _ in rows] == list(Parameters.__struct_fields__)


@pytest.mark.parametrize("name", ["docs/protocol.md", "docs/api.md"])
def test_limits_are_those_of_the_code(name: str) -> None:
    rows = _LIMIT.findall(page(name))

    for constant, value, path in rows:
        module = import_module(path.removesuffix(".py").replace("/", "."))
        assert int(value.replace(",", "")) == getattr(module, constant), f"{constant} in {path}"
    assert len(rows) > 5


def test_the_example_transaction_is_the_first_vector() -> None:
    text = section(page("docs/protocol.md"), "## 6 Transaction")

    parts = [part for part in first_column(text) if re.fullmatch(r"(?:[0-9a-f]{2})+", part)]

    assert "".join(parts) == load("transactions")["accepted"][0]["bytes"]


def test_every_vector_file_is_named() -> None:
    text = page("docs/protocol.md")

    unnamed = [file.name for file in VECTORS.glob("*.json") if f"/{file.name})" not in text]

    assert unnamed == []


# What the page on access lists.


def test_every_answer_and_every_check_is_listed_and_no_other() -> None:
    text = page("docs/access.md")
    checks = re.findall(r"^\| ([a-z]) \| .* \| (.*) \|$", text, re.MULTILINE)

    assert set(first_column(section(text, "## Answers"))) == {str(one) for one in Code}
    assert [letter for letter, _ in checks] == list(CHECKS)
    named = {code for _, codes in checks for code in re.findall(r"`(\w+)`", codes)}
    said = re.findall(r"^\| `(DENY_\w+)` \| node", section(text, "## Answers"), re.MULTILINE)
    assert named == set(said)


# What the operations page lists.


def test_every_failure_has_its_anchor_and_no_other_has() -> None:
    text = page("docs/operations.md")

    listed = re.findall(r"^### (TW-\S+)\n`(\w+)`\.", text, re.MULTILINE)

    # `__members__` has aliases as well: two names must not share a code
    members = {name: str(code) for name, code in FailureCode.__members__.items()}
    assert {name: code for code, name in listed} == members
    assert len({code for code, _ in listed}) == len(members)


def test_every_exit_code_is_explained() -> None:
    text = section(page("docs/operations.md"), "## Exit codes")

    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)

    assert {name: int(code) for code, name in rows} == {one.name: one.value for one in ExitCode}


def test_every_command_is_explained() -> None:
    text = section(page("docs/operations.md"), "## Commands")

    listed = [name for name in first_column(text) if name.startswith("tanglewatt ")]

    assert sorted(listed) == sorted(_commands(typer.main.get_command(main.app), "tanglewatt"))


def _commands(command: object, name: str) -> Iterator[str]:
    inner: dict[str, object] | None = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for word, each in inner.items():
        yield from _commands(each, f"{name} {word}")


def test_every_configuration_key_is_explained_with_its_default() -> None:
    text = section(page("docs/operations.md"), "## Configuration")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|", text, re.MULTILINE)

    explained = {key: _default_in(cell) for key, cell in rows}

    assert explained == {key: value for kind in KINDS for key, value in _keys(kind, "")}


def _default_in(cell: str) -> object:
    if cell == "required":
        return MISSING
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


def _keys(kind: type, prefix: str) -> Iterator[tuple[str, object]]:
    """Yield every key below a record, and its default."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        key, inner = f"{prefix}{one.name}", list(_records(hints[one.name]))
        if get_origin(hints[one.name]) is tuple or not inner:
            yield key, _default_of(one)
        for record in inner:
            yield from _keys(record, f"{key}.")


def _records(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    elif get_origin(hint) in (tuple, Union, UnionType, Annotated):
        for part in get_args(hint):
            yield from _records(part)


def _default_of(one: "Field[Any]") -> object:
    return list(one.default) if isinstance(one.default, tuple) else one.default


# What the page of the HTTP door lists.


def test_every_route_is_listed() -> None:
    text = section(page("docs/api.md"), "## Routes")
    modules = (
        routes_health,
        routes_ledger,
        routes_energy,
        routes_metrics,
        routes_proofs,
        routes_readings,
        routes_snapshots,
        submit,
        routes_stream,
        routes_page,
    )
    paths = {str(getattr(route, "path", "")) for one in modules for route in one.router.routes}

    assert {path for path in paths if f"`{path}`" not in text and f" {path}`" not in text} == set()


def test_every_field_of_an_answer_is_named() -> None:
    text = page("docs/api.md")
    named = [*vars(json_forms).values(), *vars(energy_forms).values()]
    records = [one for one in named if is_dataclass(one)]
    names = {one.name for record in records for one in fields(record)}

    assert {name for name in names if f"`{name}`" not in text and f'"{name}"' not in text} == set()


def test_every_event_of_the_stream_is_listed_with_its_fields() -> None:
    text = section(page("docs/api.md"), "## Stream")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))

    for event in get_args(StreamEvent):
        kind: type[msgspec.Struct] = event
        named = re.findall(
            r"`(\w+)`", re.sub(r"\(.*?\)", "", rows[str(kind.__struct_config__.tag)])
        )
        assert named == list(kind.__struct_fields__)
    assert set(rows) == tags(StreamEvent)


def test_every_error_is_listed_with_the_code_and_status_that_clients_see() -> None:
    text = section(page("docs/api.md"), "## Problem codes")
    rows = re.findall(r"^\| `(\w+Error)` \| (.*?) ?\| (.*?) ?\|", text, re.MULTILINE)
    ours = [one for one in vars(errors).values() if isinstance(one, type)]
    tree = {one for one in ours if issubclass(one, TanglewattError)} | {CommandError}

    assert {name: (code, status) for name, code, status in rows} == {
        one.__name__: _code_and_status(one) for one in tree
    }


def _code_and_status(kind: type[TanglewattError]) -> tuple[str, str]:
    if not issubclass(kind, InvalidError | UnavailableError):
        return "", ""
    known = problem_of(kind("why"))
    status = 500 if kind is DamagedStoreError else known.status
    return f"`{known.code}`", str(status)


def test_json_in_the_documents_is_json() -> None:
    blocks = re.findall(r"```json\n(.*?)```", page("docs/api.md"), re.DOTALL)

    assert [type(json.loads(block)) for block in blocks] == [dict, dict]
