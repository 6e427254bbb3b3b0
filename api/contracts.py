"""The contracts of this version: every node of a network runs the same."""

from typing import Final

from access.device import CONTRACT as DEVICE
from energy.ctt.contract import CONTRACT as CTT
from energy.governance import CONTRACT as GOVERNANCE
from energy.market.contract import CONTRACT as MARKET
from energy.transfer import CONTRACT as TRANSFER
from tangle.contracts import Contracts, by_name

CONTRACTS: Final[Contracts] = by_name(TRANSFER, CTT, DEVICE, GOVERNANCE, MARKET)
"""What this version of the protocol runs."""
