"""Reads the one TOML file of a process: flag over environment over file over default.

An environment variable `TANGLEWATT_SECTION__KEY` stands for `key` of section `section`. What is
not known is refused with the nearest name; every refusal names file, key, value and rule.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.records import BrokerConfig, Config, CoordinatorConfig, MeterConfig, NodeConfig

ENVIRONMENT_PREFIX: Final = "TANGLEWATT_"
SECTION_SEPARATOR: Final = "__"
MAX_CONFIG_SIZE: Final = 16 * 2**20
"""Bytes: room for some 20,000 enrolments of 700 bytes."""

MAX_SHOWN_VALUE: Final = 80
"""Characters of a refused value that an error repeats."""

KINDS: Final[tuple[type[Config], ...]] = (NodeConfig, CoordinatorConfig, MeterConfig, BrokerConfig)

C = TypeVar("C", NodeConfig, CoordinatorConfig, MeterConfig, BrokerConfig)
Table = dict[str, object]


@dataclass(frozen=True, slots=True)
class Override:
    """One value that goes before the file: from the environment or from a flag."""

    section: str
    key: str
    value: object
    origin: str
    """How people name where it comes from, e.g. `environment TANGLEWATT_HTTP__PORT`."""


def load_config(
    kind: type[C],
    file: Path,
    environment: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
) -> C:
    """Return the configuration of one process.

    Args:
        kind: Which process: `NodeConfig`, `CoordinatorConfig`, `MeterConfig`, `BrokerConfig`.
        file: Its TOML file. Relative paths in it are relative to its folder.
        environment: Variables of the process; only `TANGLEWATT_…__…` count.
        flags: Values by `section.key`, which go before all else.

    Raises:
        CommandError: The file cannot be read or is not TOML, a key is not known, or a value
            breaks its rule.
    """
    table = _read_toml(file)
    overrides = [*_from_environment(kind, environment), *_from_flags(flags or {})]
    origins = {(one.section, one.key): one.origin for one in overrides}
    for one in overrides:
        section = table.setdefault(one.section, {})
        if isinstance(section, dict):
            section[one.key] = one.value
    refusals = list(_unknown_keys(kind, table, ()))
    if refusals:
        raise _unknown_key_error(file, refusals[0], origins)
    try:
        # the context tells relative paths where they start
        return TypeAdapter(kind).validate_python(table, context={"folder": file.parent})
    except ValidationError as error:
        raise _bad_value_error(file, error, origins) from error


def _read_toml(file: Path) -> Table:
    try:
        if file.stat().st_size > MAX_CONFIG_SIZE:
            why = f"the maximum is {MAX_CONFIG_SIZE} bytes"
            raise _unreadable(file, why)
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from error
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, 1,000 brackets
        raise CommandError(
            Failure(
                FailureCode.BAD_TOML,
                ExitCode.BAD_CONFIGURATION,
                f"{file} is not TOML",
                str(error),
                "correct the line named, or write the file anew with: tanglewatt init DIR",
            )
        ) from error


def _unreadable(file: Path, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.UNREADABLE_CONFIGURATION,
            ExitCode.BAD_CONFIGURATION,
            f"cannot read the configuration {file}",
            why,
            "give another file with --config, or write one with: tanglewatt init DIR",
        )
    )


def _from_environment(kind: type[C], environment: Mapping[str, str]) -> Iterator[Override]:
    """Yield what the environment overrides; a section of another kind of process is not ours.

    One environment is inherited by all the processes of `up`, so a variable that only a node
    knows must not stop a meter; a section that nobody knows is a mistake and is kept, to be
    refused with its nearest name.
    """
    everywhere = {one.name for some in KINDS for one in fields(some)}
    own = {one.name for one in fields(kind)}
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or SECTION_SEPARATOR not in name:
            continue
        section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition(SECTION_SEPARATOR)
        if section in everywhere and section not in own:
            continue
        yield Override(section, key, _literal(environment[name]), f"environment {name}")


def _from_flags(flags: Mapping[str, str]) -> Iterator[Override]:
    for name, text in flags.items():
        section, _, key = name.partition(".")
        yield Override(section, key, _literal(text), f"flag --set {name}")


def _literal(text: str) -> object:
    """Return the TOML value that `text` spells, so that lists can be given; else the text."""
    if not text.startswith(("[", "{", '"', "'")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


@dataclass(frozen=True, slots=True)
class _UnknownKey:
    path: tuple[str, ...]
    value: object
    known: tuple[str, ...]


def _unknown_keys(kind: object, value: object, path: tuple[str, ...]) -> Iterator[_UnknownKey]:
    """Yield every key of `value` that no field of `kind` has, whatever its depth."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _unknown_keys(get_args(kind)[0], value, path)
    elif origin is tuple and isinstance(value, list):
        for at, item in enumerate(value):
            yield from _unknown_keys(get_args(kind)[0], item, (*path, str(at)))
    elif origin in (Union, UnionType) and isinstance(value, dict):
        yield from _unknown_keys(_member(get_args(kind), value), value, path)
    elif isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind, include_extras=True)
        for key, item in value.items():
            if key in hints:
                yield from _unknown_keys(hints[key], item, (*path, key))
            else:
                yield _UnknownKey((*path, key), item, tuple(hints))


def _member(members: tuple[object, ...], value: Mapping[str, object]) -> object:
    """Return the member of a union that `kind` of the value names; the first if it names none."""
    for member in members:
        hint = get_type_hints(member).get("kind")
        if get_origin(hint) is Literal and value.get("kind") in get_args(hint):
            return member
    return members[0]


def _unknown_key_error(
    file: Path, unknown: _UnknownKey, origins: Mapping[tuple[str, str], str]
) -> CommandError:
    name = unknown.path[-1]
    near = get_close_matches(name, unknown.known, n=1, cutoff=0.0)
    where = origins.get((unknown.path[0], name), str(file))
    return CommandError(
        Failure(
            FailureCode.UNKNOWN_KEY,
            ExitCode.BAD_CONFIGURATION,
            f"{where}: unknown key {'.'.join(unknown.path)} = {_shown(unknown.value)}",
            f"known here are {', '.join(unknown.known)}",
            f'did you mean "{".".join((*unknown.path[:-1], *near))}"?',
        )
    )


def _bad_value_error(
    file: Path, error: ValidationError, origins: Mapping[tuple[str, str], str]
) -> CommandError:
    refusals: list[str] = []
    for one in error.errors(include_url=False, include_context=False):
        path = [str(part) for part in one["loc"] if part not in ("recorded", "synthetic")]
        where = origins.get((path[0], path[-1]), str(file))
        rule = one["msg"].removeprefix("Value error, ")
        value = "is missing" if one["type"] == "missing" else f"= {_shown(one['input'])}"
        refusals.append(f"{where}: {'.'.join(path)} {value}: {rule}")
    what, *others = refusals
    key = what.partition(": ")[2]
    return CommandError(
        Failure(
            FailureCode.BAD_VALUE,
            ExitCode.BAD_CONFIGURATION,
            what,
            "; ".join(["a value breaks its rule", *others]),
            f"correct {key.partition(' ')[0]}",
        )
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_VALUE else f"{text[:MAX_SHOWN_VALUE]}…"
