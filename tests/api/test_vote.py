"""The command `vote coordinator-keys`: what it does not send."""

import pytest
from typer.testing import CliRunner

from api.exit_codes import ExitCode
from api.main import app
from tests.community import key

ONE, TWO = (key(number).public.hex() for number in (1, 2))


@pytest.mark.parametrize(
    ("keys", "quorum", "why"),
    [
        pytest.param(("zz",), 1, "non-hexadecimal", id="no hex"),
        pytest.param((ONE[:-2],), 1, "not a key of 32 bytes", id="a short key"),
        pytest.param((ONE, TWO), 1, "a quorum of 1 of 2 keys", id="half"),
        pytest.param((ONE, ONE), 2, "a quorum of 2 of 1 keys", id="one key twice"),
    ],
)
def test_an_act_that_cannot_be_is_refused_before_anyone_is_asked(
    keys: tuple[str, ...], quorum: int, why: str
) -> None:
    named = [part for one in keys for part in ("--key", one)]
    options = [*named, "--quorum", str(quorum), "--node", "http://127.0.0.1:1", "--json"]

    result = CliRunner().invoke(app, ["vote", "coordinator-keys", *options])

    assert result.exit_code == ExitCode.USAGE
    assert why in result.stdout
