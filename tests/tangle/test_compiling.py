"""Machine code where there is a place to keep it, and where there is none."""

from collections.abc import Callable
from typing import cast

from tangle import kernels
from tangle.compiling import compiled


def test_what_is_compiled_is_kept_on_disk_for_the_next_process() -> None:
    stats = kernels.sweep.stats  # type: ignore[attr-defined]

    assert stats.cache_path


def test_what_cannot_be_kept_is_compiled_all_the_same() -> None:
    made: dict[str, object] = {}
    exec("def doubled(value):\n    return 2 * value", made)

    doubled = compiled(cast("Callable[[int], int]", made["doubled"]))

    assert doubled(21) == 42
    assert doubled.nopython_signatures  # type: ignore[attr-defined]
