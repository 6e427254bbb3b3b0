"""The contracts of this version: every node of a network runs the same."""

from typing import Final

from access.contract import CONTRACT as ACCESS
from access.device import CONTRACT as DEVICE
from energy.bank import CONTRACT as BANK
from energy.bills.contract import CONTRACT as BILL
from energy.ctt.contract import CONTRACT as CTT
from energy.governance.contract import CONTRACT as GOVERNANCE
from energy.market.contract import CONTRACT as MARKET
from energy.powerchain.contract import CONTRACT as ENERGY
from energy.transfer import CONTRACT as TRANSFER
from tangle.contracts import Contracts, by_name

CONTRACTS: Final[Contracts] = by_name(
    TRANSFER, DEVICE, ACCESS, ENERGY, BANK, MARKET, CTT, BILL, GOVERNANCE
)
"""What this version of the protocol runs."""
