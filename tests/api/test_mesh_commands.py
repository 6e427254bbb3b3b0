import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from api.compose import run_node
from api.failures import CommandError, FailureCode
from api.main import app
from api.settings.config import load_config
from api.settings.layout import Layout
from api.settings.records import CoordinatorConfig, NodeConfig, node_part
from api.terminal.talk import failure_of
from edge.ground.clock import system_wall_ms
from edge.ground.key_file import read_key_file, read_passphrase
from edge.mesh.certificates import (
    issue_authority,
    make_credentials,
    read_certificate,
    read_credentials,
)
from tangle.errors import InvalidCertificateError
from tangle.keys import SigningKey

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
RUNNER = CliRunner()


def renew(layout: Layout, *arguments: str) -> Result:
    return RUNNER.invoke(
        app, ["mesh", "renew", *arguments, "--data-dir", str(layout.root), "--json"]
    )


def answer(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    value = msgspec.json.decode(result.stdout.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def key_in(layout: Layout, file: Path) -> SigningKey:
    return read_key_file(file, read_passphrase(layout.passphrase_file))


def test_init_gives_every_node_a_certificate_of_its_own_key(made: Layout) -> None:
    coordinator = node_part(load_config(CoordinatorConfig, made.coordinator_config, {}))
    edges = [load_config(NodeConfig, made.edge_config(f"edge-{n}"), {}) for n in (1, 2, 3)]

    for config in (coordinator, *edges):
        tls, key = config.mesh.tls, key_in(made, config.node.key_file)
        assert tls is not None
        assert tls.authority_file.resolve() == made.authority_file
        assert read_credentials(key, tls.certificate_file, tls.authority_file).key == key
        endpoints = (*config.mesh.listen, *config.mesh.connect)
        assert {one.partition("/")[0] for one in endpoints} == {"tls"}


def test_the_authoritys_key_is_shut_and_no_secret_key_lies_open(made: Layout) -> None:
    authority = key_in(made, made.authority_key_file)

    assert stat.S_IMODE(made.authority_key_file.stat().st_mode) == 0o600
    for file in (file for file in made.root.rglob("*") if file.is_file()):
        assert b"PRIVATE KEY" not in file.read_bytes()
        assert authority.seed not in file.read_bytes()


def test_all_certificates_are_renewed_by_one_command_which_says_until_when(made: Layout) -> None:
    before_ms = system_wall_ms()

    said = answer(renew(made))

    names = ["coordinator", "edge-1", "edge-2", "edge-3"]
    assert [one["node"] for one in said["renewed"]] == names
    assert not said["authority_renewed"]
    for name, one in zip(names, said["renewed"], strict=True):
        key = key_in(made, made.node_key_file(name))
        made_anew = read_credentials(key, made.certificate_file(name), made.authority_file)
        assert one["file"] == str(made.certificate_file(name))
        assert one["ends_at_ms"] == made_anew.ends_at_ms
        assert 0 <= made_anew.ends_at_ms - before_ms - YEAR_MS + 1_000 < 60_000


def test_only_the_nodes_named_are_renewed_each_once(made: Layout) -> None:
    before = {n: read_certificate(made.certificate_file(n)) for n in ("edge-1", "edge-2")}

    said = answer(renew(made, "edge-2", "edge-2"))

    assert [one["node"] for one in said["renewed"]] == ["edge-2"]
    assert read_certificate(made.certificate_file("edge-1")) == before["edge-1"]
    assert read_certificate(made.certificate_file("edge-2")) != before["edge-2"]
    assert not list(made.root.rglob("*.new"))


@pytest.mark.parametrize("is_lost", [False, True])
def test_an_authority_that_ends_first_is_made_anew_and_older_certificates_stay_good(
    made: Layout, *, is_lost: bool
) -> None:
    authority = key_in(made, made.authority_key_file)
    ending_ms = system_wall_ms() - 10 * YEAR_MS + 300 * DAY_MS
    made.authority_file.write_bytes(issue_authority(authority, b"network!", ending_ms, bytes(16)))
    if is_lost:
        made.authority_file.unlink()
    older = read_certificate(made.certificate_file("edge-1"))

    said = answer(renew(made, "edge-2"))

    assert said["authority_renewed"]
    assert said["authority_ends_at_ms"] > system_wall_ms() + 9 * YEAR_MS
    key = key_in(made, made.node_key_file("edge-1"))
    assert make_credentials(key, older, read_certificate(made.authority_file)).key == key


@pytest.mark.parametrize("lent", ["edge-2", None])
def test_a_node_does_not_start_with_another_ones_certificate_or_without(
    made: Layout, lent: str | None
) -> None:
    config = load_config(NodeConfig, made.edge_config("edge-1"), {})
    file = made.certificate_file("edge-1")
    if lent is None:
        file.unlink()
    else:
        file.write_bytes(read_certificate(made.certificate_file(lent)))

    with pytest.raises(InvalidCertificateError, match=r"edge-1/node\.pem") as caught:
        run_node(config)

    assert failure_of(caught.value).code is FailureCode.BAD_CERTIFICATE


def test_a_misspelt_key_of_the_tls_section_is_refused_with_the_nearest_name(made: Layout) -> None:
    file = made.edge_config("edge-1")
    file.write_text(file.read_text("utf-8").replace("authority_file", "autority_file"), "utf-8")

    with pytest.raises(CommandError, match=r"mesh\.tls\.autority_file") as caught:
        load_config(NodeConfig, file, {})

    assert "mesh.tls.authority_file" in caught.value.failure.next_step


def test_a_node_that_is_not_there_is_named(made: Layout) -> None:
    result = renew(made, "edge-9")

    assert result.exit_code == 2
    assert "there is no node edge-9" in result.output
    assert "coordinator, edge-1, edge-2, edge-3" in result.output


def test_without_the_authoritys_key_nothing_is_renewed(made: Layout) -> None:
    made.authority_key_file.unlink()

    result = renew(made)

    assert result.exit_code == 7
    assert "TW-KEY-001" in result.output


def test_a_certificate_of_another_authority_is_not_signed_over(made: Layout) -> None:
    stranger = SigningKey(b"s" * 32)
    made.authority_file.write_bytes(
        issue_authority(stranger, b"network!", system_wall_ms(), bytes(16))
    )

    result = renew(made)

    assert result.exit_code == 7
    assert "TW-KEY-003" in result.output
