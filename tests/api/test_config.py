import tomllib
from pathlib import Path
from typing import Any

import pytest

from api.exit_codes import ExitCode
from api.failures import CommandError, FailureCode
from api.settings.config import load_config
from api.settings.records import (
    BrokerConfig,
    CoordinatorConfig,
    EnergyAccounts,
    Mesh,
    MeterConfig,
    Mqtt,
    NodeConfig,
    Peer,
    RecordedSource,
    SyntheticSource,
    heard_peers,
    http_url,
    node_part,
)
from api.settings.toml_text import toml_text
from tangle.address import address_of, encode_address

KEY = bytes(range(32))
OWNER = encode_address(address_of(KEY))

NODE = f"""
[node]
name = "edge-1"
data_dir = "data"
genesis_file = "../genesis.json"
key_file = "node.key"
passphrase_file = "/etc/passphrase"

[mesh]
listen = ["tcp/127.0.0.1:7001"]

[[mesh.peers]]
key = "{KEY.hex()}"
alias = "edge-2"

[http]
port = 8001

[[devices]]
key = "{KEY.hex()}"
owner = "{OWNER}"
role = "meter"
proof = "{"ab" * 64}"
"""

METER = f"""
[meter]
name = "home_01"
data_dir = "data"
genesis_file = "genesis.json"
key_file = "meter.key"
passphrase_file = "passphrase"

[edge]
key = "{KEY.hex()}"

[source]
kind = "recorded"
file = "recording.csv"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(NODE)
    return path


def refusal(file: Path, text: str, kind: type = NodeConfig) -> CommandError:
    file.write_text(text)
    with pytest.raises(CommandError) as caught:
        load_config(kind, file, {})
    return caught.value


def test_a_meter_with_a_section_ctt_is_a_capable_one(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(METER + '\n[ctt]\nzone = "Europe/Athens"\n', "utf-8")

    assert load_config(MeterConfig, file, {}).ctt == EnergyAccounts("Europe/Athens")
    file.write_text(METER, "utf-8")
    assert load_config(MeterConfig, file, {}).ctt is None
    nowhere = refusal(file, METER + '\n[ctt]\nzone = "Atlantis"\n', MeterConfig).failure
    assert "ctt.zone" in nowhere.what + nowhere.why


def test_a_file_fills_a_record_and_defaults_the_rest(file: Path) -> None:
    config = load_config(NodeConfig, file, {})

    assert config.node.name == "edge-1"
    assert config.mesh.peers[0].key == KEY
    assert config.devices[0].owner == address_of(KEY)
    assert config.http.port == 8001
    assert config.http.host == "127.0.0.1"
    assert config.mqtt == Mqtt()
    assert config.intake.batch_interval_ms == 1_000


def test_relative_paths_start_at_the_folder_of_the_file(file: Path) -> None:
    config = load_config(NodeConfig, file, {})

    assert config.node.data_dir == file.parent / "data"
    assert config.node.genesis_file == file.parent / "../genesis.json"
    assert config.node.passphrase_file == Path("/etc/passphrase")


def test_a_flag_goes_before_the_environment_and_that_before_the_file(file: Path) -> None:
    environment = {"TANGLEWATT_HTTP__PORT": "8002", "TANGLEWATT_MQTT__PORT": "1884"}

    from_environment = load_config(NodeConfig, file, environment)
    from_flag = load_config(NodeConfig, file, environment, {"http.port": "8003"})

    assert from_environment.http.port == 8002
    assert from_environment.mqtt.port == 1884
    assert from_flag.http.port == 8003


def test_a_list_in_the_environment_is_spelled_as_in_the_file(file: Path) -> None:
    environment = {"TANGLEWATT_MESH__CONNECT": '["tcp/10.0.0.2:7447"]'}

    assert load_config(NodeConfig, file, environment).mesh.connect == ("tcp/10.0.0.2:7447",)


def test_variables_of_other_kinds_of_process_and_of_other_programs_are_left_alone(
    tmp_path: Path,
) -> None:
    file = tmp_path / "meter.toml"
    file.write_text(METER)
    environment = {
        "TANGLEWATT_HTTP__PORT": "8002",
        "TANGLEWATT_DATA_DIR": "/var/lib",
        "OTHER__KEY": "1",
    }

    config = load_config(MeterConfig, file, environment)

    assert isinstance(config.source, RecordedSource)
    assert config.source.file == tmp_path / "recording.csv"


def test_a_variable_that_no_process_knows_is_refused_with_the_nearest_name(file: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load_config(NodeConfig, file, {"TANGLEWATT_HTPP__PORT": "8002"})

    assert "htpp" in caught.value.failure.what
    assert caught.value.failure.next_step == 'did you mean "http"?'


def test_a_variable_with_an_unknown_key_is_named_as_the_origin(file: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load_config(NodeConfig, file, {"TANGLEWATT_HTTP__PROT": "8002"})

    assert caught.value.failure.what.startswith("environment TANGLEWATT_HTTP__PROT: unknown key")
    assert caught.value.failure.next_step == 'did you mean "http.port"?'


def test_a_synthetic_home_is_known_by_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "meter.toml"
    source = '[source]\nkind = "synthetic"\nseed = 7\nhome = 3\nprofile_file = "p"\n'
    file.write_text(METER.partition("[source]")[0] + source)

    config = load_config(MeterConfig, file, {})

    assert config.source == SyntheticSource("synthetic", 7, 3, tmp_path / "p")


def test_a_coordinator_is_a_node_with_a_key_and_a_lock(file: Path) -> None:
    file.write_text(NODE + '\n[coordinator]\nkey_file = "c.key"\nlock_file = "c.lock"\n')

    config = load_config(CoordinatorConfig, file, {})

    assert config.coordinator.lock_file == file.parent / "c.lock"
    file.write_text(NODE)
    assert node_part(config) == load_config(NodeConfig, file, {})


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        pytest.param(
            NODE.replace("port = 8001", "prot = 8001"), "http.prot", "http.port", id="key"
        ),
        pytest.param(NODE.replace("[http]", "[htpp]"), "htpp", "http", id="section"),
        pytest.param(
            NODE.replace('alias = "edge-2"', 'alais = "edge-2"'),
            "mesh.peers.0.alais",
            "mesh.peers.0.alias",
            id="key in a list",
        ),
        pytest.param(
            NODE.replace('role = "meter"', 'rolle = "meter"'),
            "devices.0.rolle",
            "devices.0.role",
            id="key of a device",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(
    file: Path, text: str, key: str, nearest: str
) -> None:
    failure = refusal(file, text).failure

    assert failure.code is FailureCode.UNKNOWN_KEY
    assert failure.exit_code is ExitCode.BAD_CONFIGURATION
    assert f"{file}: unknown key {key} = " in failure.what
    assert failure.next_step == f'did you mean "{nearest}"?'


def test_an_unknown_key_of_a_source_is_held_against_its_kind(tmp_path: Path) -> None:
    failure = refusal(tmp_path / "m.toml", METER + "hoem = 3\n", MeterConfig).failure

    assert failure.what.endswith("unknown key source.hoem = 3")
    assert failure.why == "known here are kind, file"


def test_a_source_of_no_kind_is_refused(tmp_path: Path) -> None:
    text = METER.replace('kind = "recorded"', 'kind = "recroded"')

    failure = refusal(tmp_path / "m.toml", text, MeterConfig).failure

    assert "source" in failure.what
    assert "recroded" in failure.what


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        pytest.param("8001", "0", "http.port = 0", id="port zero"),
        pytest.param("8001", "65536", "http.port = 65536", id="port too high"),
        pytest.param("8001", '"web"', "http.port = 'web'", id="port in words"),
        pytest.param("8001", '80\nhost = "a b"', "http.host = 'a b'", id="host with a space"),
        pytest.param('"edge-1"', '"a/b"', "node.name = 'a/b'", id="name with a slash"),
        pytest.param('"edge-1"', '""', "node.name = ''", id="empty name"),
        pytest.param("tcp/127.0.0.1:7001", "127.0.0.1:7001", "mesh.listen.0", id="endpoint"),
        pytest.param(
            f'key = "{KEY.hex()}"\nalias', 'key = "abc"\nalias', "mesh.peers.0.key", id="short key"
        ),
        pytest.param(
            f'key = "{KEY.hex()}"\nalias', "key = 5\nalias", "mesh.peers.0.key", id="key of no text"
        ),
        pytest.param(OWNER, OWNER[:-1] + "x", "devices.0.owner", id="mistyped address"),
        pytest.param(f'"{OWNER}"', "5", "devices.0.owner", id="address of no text"),
        pytest.param('role = "meter"', 'role = "king"', "devices.0.role = 'king'", id="role"),
        pytest.param("ab" * 64, "ab" * 63, "devices.0.proof", id="short proof"),
        pytest.param('key_file = "node.key"', "", "node.key_file is missing", id="missing"),
    ],
)
def test_a_bad_value_is_refused_with_file_key_value_and_rule(
    file: Path, old: str, new: str, shown: str
) -> None:
    assert old in NODE

    failure = refusal(file, NODE.replace(old, new, 1)).failure

    assert failure.code is FailureCode.BAD_VALUE
    assert failure.exit_code is ExitCode.BAD_CONFIGURATION
    assert failure.what.startswith(f"{file}: {shown}")
    assert failure.what.count(": ") >= 2


SETTLEMENT = f"""
[settlement]
zone = "Europe/Athens"
pv_meters = ["{OWNER}"]

[[settlement.replacements]]
meter = "{OWNER}"
replaces = "{OWNER}"

[[settlement.units]]
unit = "{OWNER}"
meter = "{OWNER}"
key_file = "unit.key"
"""


def test_a_settling_node_is_told_zone_meters_and_units(file: Path) -> None:
    file.write_text(NODE + SETTLEMENT, "utf-8")

    found = load_config(NodeConfig, file, {}).settlement

    assert found is not None
    assert (found.zone, found.patience_minutes) == ("Europe/Athens", 60)
    assert found.pv_meters == (address_of(KEY),)
    assert found.units[0].key_file == file.parent / "unit.key"


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "", "Europe"])
def test_a_zone_that_is_none_is_refused(file: Path, zone: str) -> None:
    failure = refusal(file, NODE + SETTLEMENT.replace("Europe/Athens", zone)).failure

    assert failure.what.startswith(f"{file}: settlement.zone = {zone!r}")


def test_every_bad_value_is_told_at_once(file: Path) -> None:
    failure = refusal(file, NODE.replace("8001", "0").replace('"edge-1"', '""')).failure

    assert "node.name" in failure.what
    assert "http.port" in failure.why


def test_a_bad_value_of_the_environment_names_the_variable(file: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load_config(NodeConfig, file, {"TANGLEWATT_HTTP__PORT": "[1"})

    assert caught.value.failure.what.startswith(
        "environment TANGLEWATT_HTTP__PORT: http.port = '[1'"
    )


def test_a_section_that_is_no_table_is_refused(file: Path) -> None:
    failure = refusal(file, "http = 5\n" + NODE.replace("[http]\nport = 8001", "")).failure

    assert failure.what.startswith(f"{file}: http = 5")


def test_a_long_value_is_cut_in_the_message(file: Path) -> None:
    failure = refusal(file, NODE.replace('"edge-1"', f'"{"x" * 5_000}"')).failure

    assert len(failure.what) < 400


@pytest.mark.parametrize(
    "text", ["[http\nport = 1", "a = " + "[" * 20_000, "a = " + "9" * 5_000], ids=range(3)
)
def test_text_that_is_not_toml_is_refused(file: Path, text: str) -> None:
    failure = refusal(file, text).failure

    assert failure.code is FailureCode.BAD_TOML
    assert str(file) in failure.what


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as missing:
        load_config(BrokerConfig, tmp_path / "none.toml", {})

    assert missing.value.failure.code is FailureCode.UNREADABLE_CONFIGURATION
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(CommandError) as undecodable:
        load_config(BrokerConfig, tmp_path / "latin.toml", {})
    assert undecodable.value.failure.code is FailureCode.UNREADABLE_CONFIGURATION


def test_a_file_of_absurd_size_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.settings.config.MAX_CONFIG_SIZE", 10)

    with pytest.raises(CommandError, match="the maximum is 10 bytes"):
        load_config(NodeConfig, file, {})


def test_an_empty_file_is_a_broker_at_the_usual_port(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text("")

    assert load_config(BrokerConfig, tmp_path / "broker.toml", {}) == BrokerConfig(
        Mqtt("127.0.0.1", 1_883)
    )


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_a_url_is_one_that_a_browser_here_can_open(file: Path, host: str, url: str) -> None:
    flags = {"http.host": host, "http.port": "80"}

    assert http_url(load_config(NodeConfig, file, {}, flags).http) == url


def test_written_toml_reads_back_as_it_was() -> None:
    sections: dict[str, Any] = {
        "node": {
            "name": 'a "b" \\ \x7f ü',
            "port": 5,
            "on": True,
            "off": False,
            "list": ["x", "y"],
        },
        "mesh": {"connect": [], "peers": [{"key": "k", "n": 1}, {"key": "l", "n": 2}]},
        "devices": [{"key": "k"}, {"key": "l"}],
    }

    text = toml_text(sections, "A head.\n\nOf three lines.")

    assert tomllib.loads(text) == sections
    assert text.startswith("# A head.\n#\n# Of three lines.\n")


def test_who_is_expelled_is_no_peer_whoever_names_it() -> None:
    good, bad = Peer(KEY, "good"), Peer(bytes(32), "bad")
    mesh = Mesh(peers=(good, bad), expelled=(bytes(32), bytes([7]) * 32))

    assert heard_peers(mesh) == (good,)
    assert heard_peers(Mesh(peers=(good, bad))) == (good, bad)


def test_an_expelled_key_is_read_from_hex(file: Path) -> None:
    text = file.read_text("utf-8").replace("[mesh]", f'[mesh]\nexpelled = ["{KEY.hex()}"]', 1)
    file.write_text(text, "utf-8")

    config = load_config(NodeConfig, file, {})

    assert config.mesh.expelled == (KEY,)
    assert heard_peers(config.mesh) == ()
