"""Commands made of the table of operations: what people can ask the ledger, one command each.

`energy`, `session`, `bank`, `market` and `ctt` follow `energy.forms`, as `vote` does: a new
operation there is a command here, with the same fields.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typing_extensions import override

from api.client.issuing import Issuer, issue, wait_final
from api.commands.access_files import (
    Home,
    NodeUrl,
    PassphraseFile,
    WalletFileOption,
    key_issuer,
    network_of,
    node_client,
    wallet_issuer,
    wallet_path,
)
from api.commands.wallet_commands import DEFAULT_WAIT_S, Waits, WaitSeconds
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.hexadecimal import from_hex
from api.settings.layout import Layout, load_network
from api.settings.wallet_file import read_wallet_public_key
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    add_command,
    ending,
    layout_of,
    typer_app,
)
from api.terminal.talk import put, put_json, say
from energy.forms.fields import Field, Known, Reader, integer, key_list, member_list, watts
from energy.forms.operations import (
    ACTS,
    FORMS,
    PARAMETER_FIELDS,
    SET_PARAMETER,
    VOTE,
    operation,
)
from energy.governance.acts import SetParameter
from energy.queries import Addresses
from tangle.address import Address, address_of
from tangle.hashing import HASH_SIZE
from tangle.keys import KEY_SIZE, PublicKey
from tangle.transaction import Operation, TransactionId

KeyFile = Annotated[Path | None, typer.Option("--key-file", help="Key file of who issues it.")]
No = Annotated[bool, typer.Option("--no", help="Vote against it.")]

GROUPS: Final[Mapping[str, str]] = {
    "energy": "What storage units report, and who may draw from them.",
    "session": "Energy set aside at a storage unit.",
    "bank": "Money that comes in and goes out.",
    "market": "Orders for energy tokens.",
    "ctt": "Energy accounts of fixed capacity.",
    "bill": "What is billed, and what is paid for it.",
}
_OF_DOCUMENTS: Final = ("bill.issue", "bill.credit")
"""What the ledger gets of them is made from a document."""

_SESSIONS: Final = {"energy.open_session": "open", "energy.close_session": "close"}


class AddressBook(Addresses):
    """Addresses in text, and the names that a data folder gives to its homes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    @override
    def __getitem__(self, name: str) -> Address:
        if self._layout.network_file.exists() and name in load_network(self._layout).homes:
            return address_of(read_wallet_public_key(self._layout.wallet_file(name)))
        return super().__getitem__(name)


class _Written(Mapping[str, Any]):
    """Keys and order ids as they are written: in hex."""

    def __init__(self, make: Callable[[str], object]) -> None:
        self._make = make

    @override
    def __getitem__(self, text: str) -> Any:
        return self._make(text)

    @override
    def __contains__(self, text: object) -> bool:
        return isinstance(text, str)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return 0


def known_to(layout: Layout, now_ms: int) -> Known:
    """Return what names stand for on a command line.

    Args:
        layout: Whose homes have names.
        now_ms: Ledger time that durations count from.
    """
    return Known(
        AddressBook(layout),
        _Written(lambda text: PublicKey(from_hex(text, "key", size=KEY_SIZE))),
        _Written(lambda text: TransactionId(from_hex(text, "order", size=HASH_SIZE))),
        now_ms,
    )


def _command(name: str, fields: tuple[Field, ...], help_text: str, do: str) -> Callable[..., None]:
    """Return a function with an option for each field, as Typer reads it."""

    def command(**given: Any) -> None:  # noqa: ANN401 # of whatever kinds the signature says
        _run(do, name, fields, given)

    command.__doc__ = help_text
    own = [_parameter(field) for field in fields]
    if do == VOTE:
        own.append(inspect.Parameter("no", _KEYWORD, default=False, annotation=No))
    parameters = [*own, *_COMMON]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # Typer reads it
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY


_LISTS: Final[Mapping[Reader, str]] = {key_list: "HEX", member_list: "ADDRESS|HOME"}
"""Fields that are lists, and what one of them is called."""


def _parameter(field: Field) -> inspect.Parameter:
    option = "--" + field.name.replace("_", "-")
    if field.read in _LISTS:
        kind: Any = Annotated[
            list[str], typer.Option(option, metavar=_LISTS[field.read], help="Repeat for all.")
        ]
        return inspect.Parameter(field.name, _KEYWORD, annotation=kind)
    kind = int if field.read is integer else str
    if field.is_optional:
        return inspect.Parameter(
            field.name,
            _KEYWORD,
            default=None,
            annotation=Annotated[kind | None, typer.Option(option, help=field.written)],
        )
    annotation = Annotated[kind, typer.Option(option, help=field.written)]
    return inspect.Parameter(field.name, _KEYWORD, annotation=annotation)


_COMMON: Final = tuple(
    inspect.Parameter(name, _KEYWORD, default=default, annotation=annotation)
    for name, default, annotation in (
        ("home", None, Home),
        ("wallet", None, WalletFileOption),
        ("key_file", None, KeyFile),
        ("data_dir", DEFAULT_DATA_DIR, DataDir),
        ("node", None, NodeUrl),
        ("passphrase_file", None, PassphraseFile),
        ("wait", False, Waits),
        ("wait_s", DEFAULT_WAIT_S, WaitSeconds),
        ("as_json", False, AsJson),
    )
)


def _run(do: str, name: str, fields: tuple[Field, ...], given: Mapping[str, Any]) -> None:
    with ending(as_json=given["as_json"]):
        layout = layout_of(given["data_dir"])
        written = {
            field.name: _value(field, given[field.name])
            for field in fields
            if given[field.name] is not None
        }
        known = known_to(layout, 0)
        payload = _payload(do, name, written, known, yes=not given.get("no"))
        client = node_client(layout, given["node"])
        if _tells_time(fields, written):
            known = known_to(layout, client.info().ledger_time_ms)
            payload = _payload(do, name, written, known, yes=not given.get("no"))
        issuer = _issuer(layout, given, do)
        expected = network_of(layout) if given["node"] is None else None
        tx_id = issue(client, issuer, payload, expected)
        say(f"{name.replace('_', ' ')} in transaction {tx_id}")
        state = "pending"
        if given["wait"]:
            state = wait_final(client, tx_id, given["wait_s"]).state
            say(f"✔ {state}")
        if given["as_json"]:
            put_json({"id": tx_id, "state": state})
        else:
            put(tx_id)


def _payload(
    do: str, name: str, written: Mapping[str, object], known: Known, *, yes: bool
) -> Operation:
    if do == VOTE:
        return operation(do, {"act": name, "arguments": written, "yes": yes}, known)
    return operation(do, written, known)


def _tells_time(fields: tuple[Field, ...], written: Mapping[str, object]) -> bool:
    return any(
        field.into.endswith("_at_ms") or field.into.endswith("_end_ms")
        for field in fields
        if field.name in written
    )


def _value(field: Field, given: object) -> object:
    """Return what was typed as the reader of the field takes it."""
    is_number = isinstance(given, str) and given.isascii() and given.isdigit()
    return int(str(given)) if field.read is watts and is_number else given


def _issuer(layout: Layout, given: Mapping[str, Any], do: str) -> Issuer:
    """Return who signs: a key file, a wallet, or for a vote the operator's key."""
    file, home, wallet = given["key_file"], given["home"], given["wallet"]
    if file is None and home is None and wallet is None and do == VOTE:
        file = layout.operator_key_file
    if file is not None:
        if home is not None or wallet is not None:
            raise CommandError(
                Failure(
                    FailureCode.BAD_ARGUMENT,
                    ExitCode.USAGE,
                    f"--key-file {file}",
                    "one operation has one issuer, and another is named too",
                    "give one of --key-file, --home and --wallet",
                )
            )
        return key_issuer(layout, file, given["passphrase_file"])
    return wallet_issuer(layout, wallet_path(layout, home, wallet), given["passphrase_file"])


def add_operations(app: typer.Typer, votes: typer.Typer) -> Mapping[str, typer.Typer]:
    """Add a command for each operation, and one to `votes` for each act that has none yet.

    Returns:
        The groups by noun, for commands that only ask.
    """
    groups = {name: typer_app(text) for name, text in GROUPS.items()}
    for do, form in FORMS.items():
        noun, _, verb = do.partition(".")
        if noun == "transfer" or do in _OF_DOCUMENTS:
            continue  # `wallet send`; `bill issue` and `bill credit`
        noun, verb = ("session", _SESSIONS[do]) if do in _SESSIONS else (noun, verb)
        help_text = _help(form.call.__doc__, f"{noun} {verb}", form.fields)
        command = _command(f"{noun} {verb}", form.fields, help_text, do)
        add_command(groups[noun], verb.replace("_", "-"), command)
    for name, group in groups.items():
        app.add_typer(group, name=name)
    acts = {**ACTS, SET_PARAMETER: (SetParameter, PARAMETER_FIELDS)}
    for name, (call, fields) in acts.items():
        if name != "coordinator_keys":
            help_text = _help(call.__doc__, f"vote {name}", fields)
            add_command(votes, name.replace("_", "-"), _command(name, fields, help_text, VOTE))
    return groups


def _help(docstring: str | None, words: str, fields: tuple[Field, ...]) -> str:
    assert docstring is not None, words
    options = " ".join(
        f"--{field.name.replace('_', '-')} {field.example}"
        for field in fields
        if not field.is_optional
    )
    who = "" if words.startswith("vote") else " --home home_01"
    line = f"tanglewatt {words.replace('_', '-')} {options}".rstrip() + f"{who} --wait"
    return f"{inspect.cleandoc(docstring)}\n\nExamples:\n  {line}"
