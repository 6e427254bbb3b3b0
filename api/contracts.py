"""The contracts of this version: every node of a network runs the same."""

from typing import Final

from access.device import CONTRACT as DEVICE
from energy.transfer import CONTRACT as TRANSFER
from tangle.contracts import Contracts, by_name

CONTRACTS: Final[Contracts] = by_name(TRANSFER, DEVICE)
"""What this version of the protocol runs."""
