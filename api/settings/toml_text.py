"""Writes TOML: the few shapes that configuration files of this project have."""

import json
from collections.abc import Iterator, Mapping, Sequence

Scalar = str | int | bool
Section = Mapping[str, Scalar | Sequence[str] | Sequence[Mapping[str, Scalar]]]
"""One table: single values, lists of text, and lists of tables (`[[section.key]]`)."""


def toml_text(sections: Mapping[str, Section | Sequence[Mapping[str, Scalar]]], head: str) -> str:
    """Return a TOML document that `tomllib` reads back as `sections`.

    Args:
        sections: Tables by name; a list of tables becomes `[[name]]`, repeated.
        head: Comment at the top, without the signs.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for name, section in sections.items():
        if isinstance(section, Mapping):
            lines += _table(name, section)
        else:
            for item in section:
                lines += ["", f"[[{name}]]", *(f"{key} = {_value(item[key])}" for key in item)]
    return "\n".join(lines) + "\n"


def _table(name: str, section: Section) -> Iterator[str]:
    yield from ("", f"[{name}]")
    for key, value in section.items():
        if not _is_tables(value):
            yield f"{key} = {_value(value)}"
    for key, value in section.items():
        if isinstance(value, Sequence) and _is_tables(value):
            for item in value:
                assert isinstance(item, Mapping)
                yield from ("", f"[[{name}.{key}]]")
                yield from (f"{field} = {_value(item[field])}" for field in item)


def _is_tables(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and isinstance(value[0], Mapping)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for one control character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(_value(item) for item in value)}]"
    return str(value)
