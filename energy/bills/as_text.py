"""A bill as CSV, for spreadsheets, and as HTML, for screens and printers."""

from collections.abc import Iterable
from html import escape
from typing import Final

from energy.bills.sheet import Row, Sheet

_COLUMNS: Final = ("what", "days", "quantity", "price", "amount_eur")

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --rule: #bbb; --soft: #555 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --paper: #16181c; --rule: #555; --soft: #aaa }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 50rem; padding: 1.5rem 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1.5rem }
dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .4rem .5rem; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top }
th { color: var(--soft); font-weight: 600 }
th:nth-child(n+3), td:nth-child(n+3) { text-align: right }
td:nth-child(n+2), tfoot td { white-space: nowrap }
tfoot th, tfoot td { border-bottom: 0; border-top: 2px solid var(--ink); color: var(--ink);
  font-size: 1.15rem; font-weight: 700 }
tfoot td { text-align: right }
p { color: var(--soft) }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr }
  dd { margin-bottom: .5rem }
  thead { display: none }
  tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid var(--rule) }
  th, td { border: 0; padding: .2rem 0 }
  td:nth-child(1) { font-weight: 600 }
  td:nth-child(2) { grid-row: 2; grid-column: 1 / -1; color: var(--soft) }
  td:nth-child(3) { grid-row: 3; text-align: left }
  td:nth-child(4) { grid-row: 3 }
  td:nth-child(5) { grid-row: 1; grid-column: 2; font-weight: 600 }
}
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --rule: #999; --soft: #333 }
  @page { size: A4; margin: 18mm }
  body { max-width: none; padding: 0; font-size: 10pt }
  tr { break-inside: avoid }
  thead { display: table-header-group }
}
""".strip()


def sheet_csv(sheet: Sheet) -> str:
    """Return a document as CSV (RFC 4180): a line each, the total last. Amounts in EUR."""
    rows = [(row.what, row.days, row.quantity, row.price, row.amount) for row in sheet.rows]
    total = (sheet.total_name, "", "", "", sheet.total)
    return "".join(_csv_line(cells) for cells in (_COLUMNS, *rows, total))


def sheet_html(sheet: Sheet) -> str:
    """Return a document as one HTML page that loads nothing from anywhere."""
    facts = "\n".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in sheet.facts
    )
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in sheet.notes)
    rows = "\n".join(_html_row(row) for row in sheet.rows)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(sheet.title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<main>
<h1>{escape(sheet.title)}</h1>
<dl>
{facts}
</dl>
{notes}<table>
<thead><tr><th scope="col">What</th><th scope="col">Days</th><th scope="col">Quantity</th>\
<th scope="col">Price, EUR</th><th scope="col">EUR</th></tr></thead>
<tbody>
{rows}
</tbody>
<tfoot><tr><th scope="row" colspan="4">{escape(sheet.total_name)}</th>\
<td>{escape(sheet.total)} EUR</td></tr></tfoot>
</table>
</main>
</body>
</html>
"""


def _html_row(row: Row) -> str:
    cells = (row.what, row.days, row.quantity, row.price, row.amount)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _csv_line(cells: Iterable[str]) -> str:
    return ",".join(_csv_cell(cell) for cell in cells) + "\r\n"


def _csv_cell(cell: str) -> str:
    if any(mark in cell for mark in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
