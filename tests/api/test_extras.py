"""Libraries that not every installation has."""

import pytest

from api.bench import networkx_weights
from api.exit_codes import ExitCode
from api.failures import CommandError, FailureCode
from api.terminal.extras import is_there, module_over


def test_a_library_that_is_there_loads_what_is_built_upon_it() -> None:
    assert is_there("networkx")
    assert module_over("networkx", "api.bench.networkx_weights") is networkx_weights


def test_a_missing_one_is_named_with_what_brings_it() -> None:
    with pytest.raises(CommandError) as caught:
        module_over("no_such_library", "api.bench.networkx_weights")

    failure = caught.value.failure
    assert (failure.code, failure.exit_code) == (FailureCode.NOT_INSTALLED, ExitCode.USAGE)
    assert failure.what == "no_such_library is not installed"
    assert "tanglewatt[lab]" in failure.next_step
