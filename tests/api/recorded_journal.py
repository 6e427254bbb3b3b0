"""A journal of some milestones with transfers, notes and readings, as a node writes it."""

from pathlib import Path
from typing import Final

from edge.journal.entries import Batch, TakenReading
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tests.api.small_node import ALICE, BOB, EDGE, METER, NOTE, SmallNode

DEVICE: Final = address_of(METER.public)
MILESTONES: Final = 6
TRANSACTIONS: Final = 5 * MILESTONES + 2
READINGS: Final = 2 * MILESTONES


def write_journal(folder: Path, milestones: int = MILESTONES) -> None:
    """Write a journal into `folder`; the last two transactions are pending."""
    with SmallNode(folder) as node:
        pay = transfer_operation(TransferEeuro(address_of(BOB.public), 1_000))
        for at in range(milestones):
            node.take_in(node.signed(pay, ALICE, 2 * at))
            node.take_in(node.signed(NOTE, ALICE, 2 * at + 1))
            node.take_in(node.signed(NOTE, BOB, at))
            node.take_in(node.signed(NOTE, EDGE, at))
            taken = tuple(
                TakenReading(DEVICE, number, b"sealed %d" % number)
                for number in (2 * at, 2 * at + 1)
            )
            node.journal.commit(Batch(readings=taken))
            node.confirm()
        node.take_in(node.signed(NOTE, ALICE, 2 * milestones))
        node.take_in(node.signed(NOTE, BOB, milestones))
