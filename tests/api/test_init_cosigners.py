"""A network of several coordinator keys: who holds which, and what each is told."""

from pathlib import Path

from api.network.init import create_network
from api.network.plan import Wishes
from api.node.coordinating import read_lock
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from api.settings.records import CoordinatorConfig, NodeConfig
from edge.ground.key_file import read_key_file, read_passphrase
from tangle.genesis import network_id
from tests.api.made_network import plan, tools


def test_the_coordinator_leads_and_the_first_edges_hold_the_other_keys(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "network")
    wishes = Wishes(edges=3, homes=1, coordinators=3, quorum=2)

    network = create_network(layout, plan(wishes), {}, tools())

    genesis = load_genesis(layout.genesis_file)
    passphrase = read_passphrase(layout.passphrase_file)
    leader = load_config(CoordinatorConfig, layout.coordinator_config, {}).coordinator
    edges = [load_config(NodeConfig, layout.edge_config(name), {}) for name in network.edges]
    cosigners = [one.cosigner for one in edges if one.cosigner is not None]
    own = read_key_file(leader.key_file, passphrase).public
    keys = [own, *(read_key_file(one.key_file, passphrase).public for one in cosigners)]
    assert genesis.coordinator_keys == tuple(sorted(keys))
    assert genesis.quorum == 2
    assert len(cosigners) == 2
    assert edges[2].cosigner is None
    assert {one.leader_key for one in cosigners} == {own}
    for one in cosigners:
        assert read_lock(one.lock_file, network_id(genesis)).index == 0
