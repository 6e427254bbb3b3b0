"""A settling node, put together from its configuration."""

from random import Random
from zoneinfo import ZoneInfo

from api.settings.records import NodeConfig
from edge.ground.key_file import read_key_file, read_passphrase
from edge.node.issuance import Issuance
from edge.runtime import EdgeNode
from edge.settlement.settings import SettledUnit, SettlingSettings
from edge.settlement.settling import Settling
from energy.units import MINUTE_MS
from tangle.address import Address


def settling_of(config: NodeConfig, node: EdgeNode, rng: Random) -> Settling | None:
    """Return what settles beside a node, `None` if it serves no meters.

    Raises:
        TanglewattError: A key file does not open.
    """
    wanted, metering = config.settlement, node.metering
    if metering is None:
        return None
    passphrase = read_passphrase(config.node.passphrase_file)
    issuances = {node.issuance.address: node.issuance}
    units = []
    for one in wanted.units:
        key = read_key_file(one.key_file, passphrase)
        issuance = Issuance(node.executor, key, node.clock, rng, node.load)
        issuance = issuances.setdefault(issuance.address, issuance)
        units.append(SettledUnit(Address(one.unit), Address(one.meter), issuance))
    settings = SettlingSettings(
        ZoneInfo(wanted.zone),
        wanted.patience_minutes * MINUTE_MS,
        tuple(units),
        frozenset(Address(one) for one in wanted.pv_meters),
        {Address(one.meter): Address(one.replaces) for one in wanted.replacements},
    )
    return Settling(
        node.executor, metering.open_readings, node.clock, settings, node.issuance, node.mesh
    )
