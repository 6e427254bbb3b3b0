import stat
from pathlib import Path
from random import Random

import pytest

from access.device import Claim, claim_message
from api.exit_codes import ExitCode
from api.failures import CommandError, FailureCode
from api.network.init import (
    Tools,
    create_network,
    existing_network,
    parse_recordings,
    read_recordings,
    write_profile,
)
from api.network.plan import DAY_MS, Wishes, make_plan
from api.network.ports import free_ports, is_free
from api.processes.opening import Request, locked, make_or_open
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout, has_network, load_network
from api.settings.records import (
    BrokerConfig,
    CoordinatorConfig,
    MeterConfig,
    NodeConfig,
    SyntheticSource,
    node_part,
)
from api.settings.wallet_file import read_wallet_public_key, read_wallet_words
from coordinator.lock import decode_lock
from devices.sources.household import decode_profile
from edge.ground.key_file import read_key_file, read_passphrase
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.errors import ListenError
from tangle.genesis import decode_genesis, genesis_hash, network_id
from tangle.keys import PublicKey, is_signed
from tangle.seeds import wallet_key
from tests.api.made_network import (
    NOW_MS,
    RECORDING,
    START_MS,
    plan,
    tools,
)


def files(layout: Layout) -> dict[str, bytes]:
    found = (file for file in layout.root.rglob("*") if file.is_file())
    return {str(file.relative_to(layout.root)): file.read_bytes() for file in found}


def test_a_plan_has_three_edges_and_ten_homes_unless_told_otherwise() -> None:
    usual = plan(Wishes())

    assert [edge.name for edge in usual.edges] == ["edge-1", "edge-2", "edge-3"]
    assert usual.homes[0] == "home_01"
    assert len(usual.homes) == 10
    assert (usual.source, usual.time_scale) == ("synthetic", 1_800)
    assert usual.ledger_start_ms == NOW_MS - NOW_MS % DAY_MS


def test_recordings_set_names_clock_and_start() -> None:
    recorded = plan(Wishes(recordings={"b": START_MS + 5, "a": START_MS}))

    assert recorded.homes == ("a", "b")
    assert (recorded.source, recorded.time_scale) == ("recorded", 14_400)
    assert recorded.ledger_start_ms == START_MS


def test_every_listener_has_a_port_of_its_own_on_loopback() -> None:
    made = plan(Wishes(edges=2))
    places = (made.coordinator, *made.edges)
    ports = [made.broker.port, *(port for one in places for port in (one.mesh_port, one.http_port))]

    assert sorted(ports) == list(range(15_000, 15_007))
    assert {made.broker.host, *(one.host for one in places)} == {"127.0.0.1"}


def test_a_real_host_listens_at_the_usual_ports() -> None:
    made = plan(Wishes(hosts={"edge-1": "10.0.0.5", "broker": "10.0.0.2"}))

    assert (made.edges[0].host, made.edges[0].mesh_port, made.edges[0].http_port) == (
        "10.0.0.5",
        7_447,
        8_080,
    )
    assert (made.broker.host, made.broker.port) == ("10.0.0.2", 1_883)


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        pytest.param(Wishes(edges=0), "--edges 0", id="no edge"),
        pytest.param(Wishes(edges=65), "--edges 65", id="too many edges"),
        pytest.param(Wishes(coordinators=0), "--coordinators 0", id="no coordinator"),
        pytest.param(Wishes(coordinators=5), "--coordinators 5", id="more keys than nodes"),
        pytest.param(Wishes(coordinators=4, quorum=2), "--quorum 2", id="half of the keys"),
        pytest.param(Wishes(coordinators=4, quorum=5), "--quorum 5", id="more than all keys"),
        pytest.param(Wishes(homes=0), "--homes 0", id="no home"),
        pytest.param(Wishes(homes=10_001), "--homes 10001", id="too many homes"),
        pytest.param(Wishes(recordings={}), "--homes DIR", id="no recording"),
        pytest.param(Wishes(recordings={"a b": 0}), "'a b'", id="name with a space"),
        pytest.param(Wishes(hosts={"edge-9": "h"}), "--host edge-9", id="host of no node"),
    ],
)
def test_a_wish_out_of_range_is_refused(wishes: Wishes, named: str) -> None:
    with pytest.raises(CommandError) as caught:
        make_plan(wishes, NOW_MS, list(range(1_000)))

    assert caught.value.failure.exit_code is ExitCode.USAGE
    assert named in caught.value.failure.what


def test_every_process_finds_its_configuration_and_every_node_the_same_genesis(
    made: Layout,
) -> None:
    network = load_network(made)
    coordinator = load_config(CoordinatorConfig, made.coordinator_config, {})
    edges = [load_config(NodeConfig, made.edge_config(name), {}) for name in network.edges]
    meters = [load_config(MeterConfig, made.meter_config(name), {}) for name in network.homes]
    broker = load_config(BrokerConfig, made.broker_config, {})

    identities = [coordinator.node, *(one.node for one in edges), *(one.meter for one in meters)]
    assert {one.genesis_file.resolve() for one in identities} == {made.genesis_file}
    assert {one.passphrase_file.resolve() for one in identities} == {made.passphrase_file}
    assert {one.mqtt for one in edges} | {one.mqtt for one in meters} == {broker.mqtt}
    assert all(one.data_dir.is_dir() and one.key_file.is_file() for one in identities)


def test_genesis_is_the_same_in_json_and_in_canonical_bytes(made: Layout) -> None:
    genesis = load_genesis(made.genesis_file)

    assert made.genesis_bytes_file.read_bytes() == encode(genesis)
    assert decode_genesis(made.genesis_bytes_file.read_bytes()) == genesis
    assert genesis.created_at_ms == NOW_MS


def test_the_keys_on_disk_are_those_of_genesis(made: Layout) -> None:
    genesis = load_genesis(made.genesis_file)
    network = load_network(made)
    passphrase = read_passphrase(made.passphrase_file)
    edges = [made.edge_folder(name) / "node.key" for name in network.edges]
    nodes = [made.coordinator_folder / "node.key", *edges]
    roles = {one.key: one.role for one in genesis.identities}

    assert {roles[read_key_file(file, passphrase).public] for file in nodes} == {"edge"}
    assert roles[read_key_file(made.operator_key_file, passphrase).public] == "voter"
    signing = read_key_file(made.coordinator_folder / "coordinator.key", passphrase)
    assert genesis.coordinator_keys == (signing.public,)
    assert signing.public not in roles


def test_every_home_has_a_wallet_with_money_that_its_words_open(made: Layout) -> None:
    genesis = load_genesis(made.genesis_file)
    passphrase = read_passphrase(made.passphrase_file)
    funds = {one.address: one.amount_ueur for one in genesis.allocations}

    for name in load_network(made).homes:
        words = read_wallet_words(made.wallet_file(name), passphrase)
        public = wallet_key(words).public
        assert public == read_wallet_public_key(made.wallet_file(name))
        assert funds[address_of(public)] == 100_000_000


def test_every_meter_is_enrolled_at_its_home_edge_with_a_proof_of_its_own(made: Layout) -> None:
    genesis = load_genesis(made.genesis_file)
    network = load_network(made)
    passphrase = read_passphrase(made.passphrase_file)
    homed: dict[bytes, bytes] = {}
    for name in network.edges:
        config = load_config(NodeConfig, made.edge_config(name), {})
        edge = read_key_file(config.node.key_file, passphrase).public
        for device in config.devices:
            claim = Claim(
                genesis_hash(genesis),
                PublicKey(device.key),
                device.role,
                Address(device.owner),
                address_of(edge),
            )
            assert is_signed(device.key, claim_message(claim), device.proof)
            homed[device.key] = edge

    for name in network.homes:
        meter = load_config(MeterConfig, made.meter_config(name), {})
        assert homed[read_key_file(meter.meter.key_file, passphrase).public] == meter.edge.key
    assert len(homed) == len(network.homes)


def test_each_pair_of_nodes_has_one_connection_and_knows_each_other(made: Layout) -> None:
    network = load_network(made)
    configs = [
        node_part(load_config(CoordinatorConfig, made.coordinator_config, {})),
        *(load_config(NodeConfig, made.edge_config(name), {}) for name in network.edges),
    ]
    listens = [one.mesh.listen[0] for one in configs]

    calls = [
        (own, other)
        for own, one in zip(listens, configs, strict=True)
        for other in one.mesh.connect
    ]
    assert len(calls) == len({frozenset(call) for call in calls}) == 6
    for config in configs:
        names = {one.node.name for one in configs} - {config.node.name}
        assert {peer.alias for peer in config.mesh.peers} == names


def test_the_coordinator_starts_with_the_lock_of_this_network(made: Layout) -> None:
    config = load_config(CoordinatorConfig, made.coordinator_config, {})
    network = network_id(load_genesis(made.genesis_file))

    assert decode_lock(config.coordinator.lock_file.read_bytes(), network).index == 0


def test_nobody_else_may_read_secrets(made: Layout) -> None:
    secret = [
        made.passphrase_file,
        made.operator_key_file,
        *made.root.rglob("*.key"),
        *made.root.rglob("*.lock"),
    ]

    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
    assert stat.S_IMODE(made.root.stat().st_mode) == 0o700


def test_synthetic_homes_share_seed_and_profile_but_not_their_number(made: Layout) -> None:
    configs = [
        load_config(MeterConfig, made.meter_config(name), {}) for name in ("home_01", "home_02")
    ]
    first, second = (config.source for config in configs)

    assert isinstance(first, SyntheticSource)
    assert isinstance(second, SyntheticSource)
    assert (first.seed, first.home, second.home) == (1, 0, 1)
    assert first.profile_file.resolve() == made.profile_file
    assert made.profile_file.read_bytes() == b"profile"


def test_recordings_are_copied_so_that_the_folder_needs_nothing_else(layout: Layout) -> None:
    wishes = Wishes(recordings={"a": START_MS})

    create_network(layout, plan(wishes), {"a": RECORDING}, tools())

    config = load_config(MeterConfig, layout.meter_config("a"), {})
    assert config.source.kind == "recorded"
    assert layout.recording_file("a").read_bytes() == RECORDING
    assert not layout.profile_file.exists()


def test_the_same_chance_makes_the_same_network_and_another_another(tmp_path: Path) -> None:
    first, again, other = (Layout(tmp_path / name) for name in "abc")

    create_network(first, plan(), {}, tools(1))
    create_network(again, plan(), {}, tools(1))
    create_network(other, plan(), {}, tools(2))

    assert first.genesis_file.read_bytes() == again.genesis_file.read_bytes()
    assert first.genesis_file.read_bytes() != other.genesis_file.read_bytes()


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(layout: Layout) -> None:
    layout.root.mkdir()
    (layout.root / "thesis.txt").write_text("ten years of work")

    with pytest.raises(CommandError) as caught:
        create_network(layout, plan(), {}, tools())

    assert caught.value.failure.code is FailureCode.FOREIGN_FOLDER
    assert "thesis.txt" in caught.value.failure.why
    assert files(layout) == {"thesis.txt": b"ten years of work"}


def test_a_run_that_was_cut_short_is_cleared_away_and_done_again(layout: Layout) -> None:
    class PowerCutError(Exception):
        pass

    def cut(file: Path) -> None:
        raise PowerCutError(file)

    with pytest.raises(PowerCutError):
        create_network(layout, plan(), {}, Tools(Random(1).randbytes, cut))
    assert not has_network(layout)

    create_network(layout, plan(), {}, tools(2))

    assert has_network(layout)
    assert not layout.unfinished_file.exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CommandError) as caught:
        create_network(Layout(tmp_path / "file" / "net"), plan(), {}, tools())

    assert caught.value.failure.code is FailureCode.NOT_WRITABLE
    assert caught.value.failure.exit_code is ExitCode.STORAGE


def test_a_network_is_opened_again_without_wishes_or_with_the_same(made: Layout) -> None:
    before = files(made)

    assert existing_network(made, Wishes()).name == "tanglewatt-demo"
    assert existing_network(made, Wishes(edges=3, homes=4, time_scale=1_800)).edges
    assert files(made) == before


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        pytest.param(Wishes(edges=2), "--edges asks for 2", id="edges"),
        pytest.param(Wishes(homes=5), "--homes asks for 5", id="homes"),
        pytest.param(Wishes(time_scale=1), "--time-scale asks for 1", id="time scale"),
        pytest.param(Wishes(coordinators=2), "--coordinators asks for 2", id="coordinators"),
        pytest.param(Wishes(quorum=2), "--quorum asks for 2", id="quorum"),
        pytest.param(Wishes(name="other"), "--name asks for other", id="name"),
        pytest.param(Wishes(recordings={"a": 0}), "--homes DIR asks for", id="recordings"),
    ],
)
def test_another_network_is_not_made_in_its_place(made: Layout, wishes: Wishes, named: str) -> None:
    with pytest.raises(CommandError) as caught:
        existing_network(made, wishes)

    assert caught.value.failure.code is FailureCode.OTHER_PLAN
    assert named in caught.value.failure.what


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 2}'])
def test_a_folder_whose_note_is_torn_holds_no_network(layout: Layout, text: str) -> None:
    layout.root.mkdir()
    layout.network_file.write_text(text)

    with pytest.raises(CommandError) as caught:
        load_network(layout)

    assert caught.value.failure.exit_code is ExitCode.NOT_RUNNING


def test_recordings_are_all_csv_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "home_1.csv").write_bytes(RECORDING)
    (tmp_path / "README.md").write_text("none")

    contents = read_recordings(tmp_path)

    assert contents == {"home_1": RECORDING}
    assert parse_recordings(contents)["home_1"].rows[0].interval_start_ms == START_MS


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(RECORDING.replace(b"1686", b"12"), "falls from 851 to 12", id="register"),
        pytest.param(b"\xff\xfe", "decode", id="no text"),
        pytest.param(b"a,b\n1,2\n", "is missing", id="columns"),
    ],
)
def test_a_recording_that_breaks_a_rule_is_refused_by_name(content: bytes, rule: str) -> None:
    with pytest.raises(CommandError, match=rule) as caught:
        parse_recordings({"home_1": content})

    assert "home_1.csv" in caught.value.failure.what


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no \.csv file"):
        read_recordings(tmp_path)
    with pytest.raises(CommandError, match="No such file"):
        read_recordings(tmp_path / "none")


def test_a_locked_folder_is_refused_naming_it(layout: Layout) -> None:
    with locked(layout), pytest.raises(CommandError) as caught, locked(layout):
        pass

    assert caught.value.failure.code is FailureCode.ALREADY_RUNNING
    assert str(layout.root) in caught.value.failure.what


def test_a_foreign_folder_gets_not_even_a_lock(layout: Layout) -> None:
    layout.root.mkdir()
    (layout.root / "x").write_text("")

    with pytest.raises(CommandError), locked(layout):
        pass

    assert files(layout) == {"x": b""}


def test_a_request_for_recordings_is_made_once_and_found_again(
    layout: Layout, tmp_path: Path
) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    (recordings / "a.csv").write_bytes(RECORDING)
    request = Request(homes=str(recordings), base_port=15_000, edges=1)

    with locked(layout):
        network, is_new = make_or_open(layout, request)
        again = make_or_open(layout, request)

    assert (network.homes, network.edges, is_new) == (("a",), ("edge-1",), True)
    assert again == (network, False)
    assert load_genesis(layout.genesis_file).ledger_start_ms == START_MS


def test_a_request_for_a_number_of_homes_makes_them(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.processes.opening.write_profile", lambda file: file.touch())

    with locked(layout):
        network, _ = make_or_open(layout, Request(homes="2", edges=1))

    assert network.homes == ("home_01", "home_02")


@pytest.mark.parametrize("host", ["edge-1", "=h", "edge-1=", "edge-1=ä b", "edge-1=" + "h" * 254])
def test_a_host_is_given_as_name_and_host(layout: Layout, host: str) -> None:
    with locked(layout), pytest.raises(CommandError, match="NAME=HOST"):
        make_or_open(layout, Request(hosts=(host,)))


def test_the_household_profile_is_computed_by_a_process_of_its_own(tmp_path: Path) -> None:
    write_profile(tmp_path / "profile")

    assert sum(decode_profile((tmp_path / "profile").read_bytes()).shares_ppb) == 10**9


def test_a_profile_that_cannot_be_written_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot write"):
        write_profile(tmp_path / "none" / "profile")


def test_free_ports_are_free_and_distinct() -> None:
    ports = free_ports(5, "127.0.0.1")

    assert len(set(ports)) == 5
    assert all(is_free("127.0.0.1", port) for port in ports)
    assert max(ports) < 32_768  # not what the kernel hands to outgoing connections


def test_too_many_ports_are_refused() -> None:
    with pytest.raises(ListenError, match="free ports from 15000 to 31999: 20000 are needed"):
        free_ports(20_000, "127.0.0.1")
