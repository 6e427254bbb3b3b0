"""Canonical structs in JSON: named fields, bytes in hex."""

from typing import Any

import msgspec


def plain_call(call: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a decoded call by name, with its tag as `call`; bytes as hex."""
    tag = call.__struct_config__.tag
    named = {name: plain(getattr(call, name)) for name in call.__struct_fields__}
    return named if tag is None else {"call": tag, **named}


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Return `value` of a canonical struct as JSON: a struct is named, bytes are hex."""
    match value:
        case bytes():
            return value.hex()
        case msgspec.Struct():
            return plain_call(value)
        case tuple():
            return [plain(one) for one in value]
        case _:
            return value
