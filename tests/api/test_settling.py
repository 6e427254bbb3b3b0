"""A settling node is put together as its configuration says."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import cast

from api.node.settling import settling_of
from api.settings.records import Identity, NodeConfig, Settlement, UnitSettlement
from edge.ground.clock import Clock
from edge.ground.key_file import Cost, write_key_file
from edge.journal.journal import Journal
from edge.mesh.mesh import Mesh
from edge.meters.mqtt import BrokerAddress, MeterLink
from edge.runtime import EdgeNode, NodeSettings, Surroundings
from edge.settlement.settling import Settling
from tangle.address import address_of
from tangle.genesis import network_id
from tests.community import CONTRACTS, meter_key
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import EDGE, GENESIS

NETWORK = network_id(GENESIS)
UNIT = meter_key(9)
PASSPHRASE = b"nine words that nobody guesses"


def on_a_node(folder: Path, act: Callable[[EdgeNode], None], *, has_meters: bool) -> None:
    async def running() -> None:
        with Journal(folder, NETWORK) as journal:
            link = MeterLink(BrokerAddress("127.0.0.1", 1), NETWORK, [], "n")
            mesh = cast("Mesh", FakeGossip(journal))
            around = Surroundings(
                journal, mesh, Clock(GENESIS), link if has_meters else None, Random(1)
            )
            settings = NodeSettings("one", "edge", "1", 1_000)
            act(EdgeNode(GENESIS, CONTRACTS, EDGE, around, settings))

    asyncio.run(running())


DEFAULT = Settlement()


def config(folder: Path, settlement: Settlement = DEFAULT) -> NodeConfig:
    passphrase = folder / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    identity = Identity("one", folder, folder / "genesis.json", folder / "node.key", passphrase)
    return NodeConfig(identity, settlement=settlement)


def test_a_unit_is_reported_with_its_own_key_or_the_nodes(tmp_path: Path) -> None:
    for name, key in (("node", EDGE), ("unit", UNIT)):
        write_key_file(tmp_path / f"{name}.key", key, PASSPHRASE, Cost(1, 64))
    units = tuple(
        UnitSettlement(address_of(meter_key(at).public), bytes(32), tmp_path / f"{name}.key")
        for at, name in enumerate(("node", "unit"))
    )

    def act(node: EdgeNode) -> None:
        settling = settling_of(
            config(tmp_path, Settlement("Europe/Athens", 5, units=units)), node, Random(1)
        )

        assert isinstance(settling, Settling)
        first, second = settling.settings.units
        assert first.issuance is node.issuance
        assert second.issuance.key.public == UNIT.public
        assert settling.settings.patience_ms == 300_000

    on_a_node(tmp_path, act, has_meters=True)


def test_a_home_edge_needs_to_be_told_nothing(tmp_path: Path) -> None:
    def act(node: EdgeNode) -> None:
        settling = settling_of(config(tmp_path), node, Random(1))

        assert settling is not None
        assert settling.settings.units == ()
        assert settling.settings.patience_ms == 3_600_000

    on_a_node(tmp_path, act, has_meters=True)


def test_a_node_without_meters_settles_nothing(tmp_path: Path) -> None:
    def act(node: EdgeNode) -> None:
        assert settling_of(config(tmp_path), node, Random(1)) is None

    on_a_node(tmp_path, act, has_meters=False)
