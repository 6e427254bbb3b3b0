"""Asking in one line: what the attacks on the matcher have in common."""

from typing import Final

import msgspec

from access.codes import Code
from access.tokens.dact import (
    AccessContext,
    ShownGrant,
)
from tests.access.world import (
    DAY_MS,
    NOW_MS,
    World,
)

FAR_MS: Final = NOW_MS + DAY_MS


def context_of(world: World, **changed: object) -> AccessContext:
    return msgspec.structs.replace(world.dact().context, **changed)


def asked(world: World, shown: ShownGrant, **changed: object) -> Code:
    """Return what the first node says to a new request under a grant."""
    return world.code(world.ask(world.request(shown, **changed)))  # type: ignore[arg-type]
