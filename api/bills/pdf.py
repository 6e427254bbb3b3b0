"""A bill as PDF: A4, the fonts that every reader has, the same bytes every time."""

from typing import Final

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from energy.bills.sheet import Row, Sheet

_FONT: Final = "Helvetica"
_BOLD: Final = "Helvetica-Bold"
_SIZE: Final = 9
_LEADING: Final = 5 * mm
_LEFT: Final = 18 * mm
_RIGHT: Final = A4[0] - 18 * mm
_TOP: Final = A4[1] - 20 * mm
_BOTTOM: Final = 22 * mm
_COLUMNS: Final = (_LEFT, _LEFT + 46 * mm, _LEFT + 112 * mm, _LEFT + 145 * mm, _RIGHT)
"""Where what and days begin, and where quantity, price and amount end."""

_NAMES: Final = Row("What", "Days", "Quantity", "Price, EUR", "EUR")


def sheet_pdf(sheet: Sheet) -> bytes:
    """Return a document as PDF. Its numbers are text that can be copied and searched."""
    canvas = Canvas("", pagesize=A4, invariant=1)
    canvas.setTitle(sheet.title)
    canvas.setAuthor(dict(sheet.facts)["Issuer"])
    _Paper(canvas, sheet).draw()
    data: bytes = canvas.getpdfdata()  # type: ignore[no-untyped-call] # its stubs leave it out
    return data


class _Paper:
    """Draws one sheet from top to bottom, on as many pages as it takes."""

    def __init__(self, canvas: Canvas, sheet: Sheet) -> None:
        self._canvas = canvas
        self._sheet = sheet
        self._y = _TOP
        self._page = 1

    def draw(self) -> None:
        """Draw everything."""
        sheet = self._sheet
        self._text(_LEFT, sheet.title, _BOLD, 16)
        self._down(2)
        for name, value in sheet.facts:
            self._text(_LEFT, name, _BOLD)
            self._text(_LEFT + 32 * mm, value)
            self._down()
        for note in sheet.notes:
            for line in _wrapped(note):
                self._text(_LEFT, line)
                self._down()
        self._down()
        self._header()
        for row in sheet.rows:
            self._room(1)
            self._row(row, _FONT)
        self._room(2)
        self._rule(0.8)
        self._text(_LEFT, sheet.total_name, _BOLD, 12)
        self._text_before(_RIGHT, f"{sheet.total} EUR", _BOLD, 12)
        self._foot()
        self._canvas.showPage()

    def _header(self) -> None:
        self._row(_NAMES, _BOLD)
        self._rule(0.4)

    def _row(self, row: Row, font: str) -> None:
        what, days, *ends = _COLUMNS
        self._text(what, row.what, font)
        self._text(days, row.days, font)
        for end, text in zip(ends, (row.quantity, row.price, row.amount), strict=True):
            self._text_before(end, text, font)
        self._down()

    def _rule(self, width: float) -> None:
        self._canvas.setLineWidth(width)
        self._canvas.line(_LEFT, self._y + _LEADING * 0.6, _RIGHT, self._y + _LEADING * 0.6)
        self._down(0.4)

    def _room(self, lines: int) -> None:
        """Begin a new page if the next lines do not fit on this one."""
        if self._y - lines * _LEADING >= _BOTTOM:
            return
        self._foot()
        self._canvas.showPage()
        self._page += 1
        self._y = _TOP
        self._header()

    def _foot(self) -> None:
        self._canvas.setFont(_FONT, _SIZE)
        self._canvas.drawRightString(
            _RIGHT, _BOTTOM - 2 * _LEADING, f"{self._sheet.title}, page {self._page}"
        )

    def _text(self, x: float, text: str, font: str = _FONT, size: float = _SIZE) -> None:
        self._canvas.setFont(font, size)
        self._canvas.drawString(x, self._y, text)

    def _text_before(self, x: float, text: str, font: str, size: float = _SIZE) -> None:
        self._canvas.setFont(font, size)
        self._canvas.drawRightString(x, self._y, text)

    def _down(self, lines: float = 1) -> None:
        self._y -= lines * _LEADING


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if stringWidth(longer, _FONT, _SIZE) <= _RIGHT - _LEFT:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
