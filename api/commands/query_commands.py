"""The command `query`: named questions about the ledger, answered in plain units."""

from typing import Annotated

import msgspec
import typer

from api.commands.access_files import NodeUrl, node_client
from api.commands.operation_commands import AddressBook
from api.settings.layout import Layout
from api.terminal.options import DEFAULT_DATA_DIR, AsJson, DataDir, ending, layout_of
from api.terminal.talk import put, put_json
from tangle.address import encode_address
from tangle.errors import InvalidError

Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help="total.ent, rate, tw1….ent, …")]


def query(
    *,
    keys: Keys,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Ask the ledger: totals, the rate, what somebody holds, what a unit stores, orders.

    Homes of the data folder may be named instead of their addresses.

    Examples:
      tanglewatt query total.ent total.energy rate gap
      tanglewatt query home_01.ent home_01.eeuro_locked orders --json
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        asked = {_with_address(layout, key): key for key in keys}
        answer = node_client(layout, node).query(list(asked))
        answers = {asked[key]: found for key, found in answer.answers.items()}
        if as_json:
            put_json({"index": answer.index, "answers": msgspec.to_builtins(answers)})
            return
        for key, found in answers.items():
            put(f"{key:<32} {_shown(found)}")


def _with_address(layout: Layout, key: str) -> str:
    """Return a key whose names of homes are addresses."""
    book = AddressBook(layout)

    def named(word: str) -> str:
        try:
            return encode_address(book[word])
        except InvalidError:
            return word  # a word of the language of queries; the node says if it is none

    return ".".join(named(word) for word in key.split("."))


def _shown(answer: str | list[str | list[str]]) -> str:
    if isinstance(answer, str):
        return answer
    parts = (one if isinstance(one, str) else " ".join(one) for one in answer)
    return "; ".join(parts) or "nothing"
