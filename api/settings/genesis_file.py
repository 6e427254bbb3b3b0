"""Genesis on disk: `genesis.json` for people and programs, `genesis.bin` as the one spelling.

The network is what its canonical bytes hash to. The JSON says the same with names and repeats
the hash, so that a slip of the hand is noticed before a node joins a network of its own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from tangle.address import Address, decode_address, encode_address
from tangle.errors import InvalidError
from tangle.genesis import (
    MAX_GENESIS_SIZE,
    Allocation,
    Genesis,
    GenesisIdentity,
    Parameters,
    genesis_hash,
)

MAX_GENESIS_TEXT_SIZE: Final = 4 * MAX_GENESIS_SIZE
"""Hexadecimal and names take up to four times the canonical bytes."""


def genesis_text(genesis: Genesis) -> str:
    """Return genesis as JSON: keys in hexadecimal, addresses as `tw1…`, and its hash."""
    plain = {
        "hash": genesis_hash(genesis).hex(),
        "name": genesis.name,
        "created_at_ms": genesis.created_at_ms,
        "ledger_start_ms": genesis.ledger_start_ms,
        "parameters": msgspec.structs.asdict(genesis.parameters),
        "coordinator_keys": [key.hex() for key in genesis.coordinator_keys],
        "quorum": genesis.quorum,
        "identities": [{"key": one.key.hex(), "role": one.role} for one in genesis.identities],
        "allocations": [
            {"address": encode_address(Address(one.address)), "amount_ueur": one.amount_ueur}
            for one in genesis.allocations
        ],
    }
    return json.dumps(plain, indent=2) + "\n"


def parse_genesis(text: str) -> Genesis:
    """Return the genesis that `text` says.

    Raises:
        ValueError: Not JSON, a name too many or too few, a value out of its range, or a hash
            that is not that of the rest.
    """
    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise ValueError("genesis must be a JSON object")  # noqa: TRY004 (one kind of error)
    claimed = plain.pop("hash", None)
    genesis = _genesis(plain)
    computed = genesis_hash(genesis).hex()
    if claimed != computed:
        raise ValueError(f"its hash is given as {claimed}, computed is {computed}")
    return genesis


def load_genesis(file: Path) -> Genesis:
    """Read `genesis.json`. Raises `CommandError` that names file and rule."""
    try:
        if file.stat().st_size > MAX_GENESIS_TEXT_SIZE:
            raise _refused(file, f"the maximum is {MAX_GENESIS_TEXT_SIZE} bytes")
        return parse_genesis(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError, InvalidError) as error:
        raise _refused(file, str(error)) from error


def _refused(file: Path, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_GENESIS,
            ExitCode.BAD_CONFIGURATION,
            f"{file} is not the genesis of a network",
            why,
            "copy genesis.json again from the folder that `tanglewatt init` wrote",
        )
    )


def _genesis(plain: Mapping[str, Any]) -> Genesis:
    fields = _exactly(plain, Genesis)
    fields["parameters"] = list(_exactly(fields["parameters"], Parameters).values())
    fields["coordinator_keys"] = [_hex(key) for key in _items(fields, "coordinator_keys")]
    fields["identities"] = [
        [_hex(one["key"]), one["role"]]
        for one in (_exactly(item, GenesisIdentity) for item in _items(fields, "identities"))
    ]
    fields["allocations"] = [
        [decode_address(str(one["address"])), one["amount_ueur"]]
        for one in (_exactly(item, Allocation) for item in _items(fields, "allocations"))
    ]
    return msgspec.convert(list(fields.values()), Genesis)


def _exactly(plain: object, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the values of `kind`'s fields in its order; neither more nor fewer names."""
    names = kind.__struct_fields__
    if not isinstance(plain, Mapping) or set(plain) != set(names):
        given = ", ".join(sorted(plain)) if isinstance(plain, Mapping) else repr(plain)
        raise ValueError(f"{kind.__name__} needs exactly {', '.join(names)}; given: {given}")
    return {name: plain[name] for name in names}


def _items(fields: Mapping[str, Any], name: str) -> list[Any]:
    items = fields[name]
    if not isinstance(items, list):
        raise ValueError(f"{name} must be a list")  # noqa: TRY004 (one kind of error)
    return items


def _hex(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"a key is hexadecimal text, not {value!r}")  # noqa: TRY004
    return bytes.fromhex(value)
