"""What the ledger says of bills, asked of a node, and how a document gets onto it."""

from dataclasses import dataclass

from api.client.issuing import Issuer, issue, wait_final
from api.client.node_client import NodeClient
from energy.bills.answers import read_issued, read_tariffs
from energy.bills.contract import BillCall, Credit, Issue, bill_operation
from energy.bills.documents import Bill, bill_digest, issuer_of
from energy.bills.rows import IssuedBill
from energy.bills.tariffs import Tariff
from tangle.address import Address, encode_address
from tangle.errors import InvalidProofError


@dataclass(frozen=True, slots=True)
class Book:
    """The bills of one ledger, as one node tells of them."""

    client: NodeClient

    def network(self) -> bytes:
        """Return the id of the network."""
        return bytes.fromhex(self.client.info().network)

    def ledger_time_ms(self) -> int:
        """Return the node's ledger time."""
        return self.client.info().ledger_time_ms

    def last_number(self, issuer: Address) -> int:
        """Return the number of an issuer's last document, 0 before the first."""
        return int(str(self._answer(f"{encode_address(issuer)}.bills")))

    def tariffs(self, issuer: Address) -> list[Tariff]:
        """Return the tariffs of an issuer, ascending."""
        found = self._answer(f"{encode_address(issuer)}.tariffs")
        return read_tariffs([[str(cell) for cell in one] for one in found])

    def issued(self, issuer: Address, number: int) -> IssuedBill | None:
        """Return what the ledger knows of a document, `None` if there is none."""
        found = self._answer(f"{encode_address(issuer)}.bill.{number}")
        return read_issued([str(cell) for cell in found])

    def verify_issued(self, bill: Bill) -> IssuedBill:
        """Return what the ledger knows of a document. Raises `InvalidProofError` if not this."""
        network = self.network()
        if bill.content.parties.network != network:
            raise InvalidProofError(
                f"document {bill.number}: of network {bill.content.parties.network.hex()}, the node"
                f" is of {network.hex()}"
            )
        issued = self.issued(issuer_of(bill), bill.number)
        digest = bill_digest(bill)
        if issued is None or issued.digest != digest:
            known = "none" if issued is None else issued.digest.hex()
            raise InvalidProofError(
                f"document {bill.number}: its digest is {digest.hex()}, the ledger has {known}"
            )
        return issued

    def _answer(self, key: str) -> str | list[str | list[str]]:
        return self.client.query([key]).answers[key]


def issue_document(
    book: Book, signer: Issuer, bill: Bill, network: str | None, wait_s: float
) -> None:
    """Put the digest of a document on the ledger, and wait until it is applied.

    Raises:
        CommandError: The ledger refuses it (another document took its number meanwhile), or
            nothing was decided in time.
    """
    tx_id = issue(book.client, signer, bill_operation(_call(bill)), network)
    wait_final(book.client, tx_id, wait_s)


def _call(bill: Bill) -> BillCall:
    digest = bill_digest(bill)
    if bill.credits is None:
        return Issue(bill.number, (digest,))
    return Credit(bill.number, digest, bill.credits.number)
