"""What the home nodes of a member show of its days, fetched page by page and checked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.client.answers import DevicesAnswer, InfoAnswer
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from devices.reading import Reading
from devices.reading_page import ReadingsPage, decode_page, verify_pages
from devices.span_request import SpanRequest, Subject, sign_span
from energy.bills.reported import (
    AppliedReport,
    ReportsPage,
    decode_reports,
    verify_reports,
)
from energy.bills.statements import Statement, decode_statement
from tangle.address import Address, address_of, decode_address, encode_address
from tangle.errors import InvalidProofError
from tangle.genesis import Genesis
from tangle.keys import PublicKey, SigningKey

Span = tuple[int, int]
"""After the first moment and up to the second, ledger time."""


class HomeNode(Protocol):
    """What is asked of a node."""

    def info(self) -> InfoAnswer:
        """Return how far it has confirmed."""
        ...

    def devices(self) -> DevicesAnswer:
        """Return which meters it knows."""
        ...

    def span(self, request: bytes) -> bytes:
        """Return a page."""
        ...


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """What one meter measured, and what of it the ledger is proven to have committed to."""

    meter: Address
    readings: tuple[Reading, ...]
    unproven: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """What the ledger applied about a member."""

    reports: tuple[AppliedReport, ...]
    unproven: int
    kept_from_ms: int
    """From when on the node knows all."""


@dataclass(frozen=True, slots=True)
class Records:
    """Asks one node, in the name of one key."""

    node: HomeNode
    key: SigningKey
    genesis: Genesis

    def meters_of(self, member: Address) -> list[Address]:
        """Return the member's meters whose readings are at this node."""
        name = encode_address(member)
        return [
            decode_address(one.address)
            for one in self.node.devices().devices
            if one.owner == name and one.journalled is not None
        ]

    def readings(self, meter: Address, span: Span) -> MeterRecord:
        """Return the readings of a meter and one at either side. Raises `InvalidProofError`."""
        pages: list[ReadingsPage] = []
        for data in self._pages("readings", meter, span, lambda one: decode_page(one).next_ms):
            page = decode_page(data)
            found = address_of(PublicKey(page.key))
            if found != meter:
                raise InvalidProofError(
                    f"asked for readings of {encode_address(meter)}, the node shows those of"
                    f" {encode_address(found)}"
                )
            pages.append(page)
        shown = verify_pages(pages, PublicKey(pages[0].key), self.genesis)
        return MeterRecord(meter, shown.readings, shown.unproven)

    def reports(self, member: Address, meters: Sequence[Address], span: Span) -> ReportRecord:
        """Return what was applied about a member. Raises `InvalidProofError`."""
        fetched = self._pages("reports", member, span, lambda one: decode_reports(one).next_ms)
        pages: list[ReportsPage] = [decode_reports(data) for data in fetched]
        shown = [one for page in pages for one in page.reports]
        reports, unproven = verify_reports(shown, member, frozenset(meters), self.genesis)
        return ReportRecord(tuple(reports), unproven, max(one.kept_from_ms for one in pages))

    def statement(self, member: Address, span: Span) -> Statement | None:
        """Return what settlement made of a member's days; `None` if this node settles nothing."""
        try:
            (data,) = self._pages("settled", member, span, lambda _: None)
        except CommandError as error:
            if error.failure.exit_code is ExitCode.UNHEALTHY:
                return None
            raise
        return decode_statement(data)

    def _pages(
        self,
        subject: Subject,
        whose: Address,
        span: Span,
        next_ms: Callable[[bytes], int | None],
    ) -> Iterator[bytes]:
        from_ms: int | None = span[0]
        network = bytes.fromhex(self.node.info().network)
        while from_ms is not None:
            index = self.node.info().confirmed_index
            request = SpanRequest(network, subject, whose, from_ms, span[1], index)
            data = self.node.span(sign_span(request, self.key))
            yield data
            after_ms = next_ms(data)
            if after_ms is not None and after_ms <= from_ms:
                raise InvalidProofError(
                    f"{subject} from {from_ms} ms on: the node goes on from {after_ms} ms"
                )
            from_ms = after_ms


def not_computable(what: str, why: str, next_step: str) -> CommandError:
    """Return how a command says that something is not known."""
    return CommandError(Failure(FailureCode.NOT_COMPUTABLE, ExitCode.FAILED, what, why, next_step))
