"""Issues an operation from a key on this machine: the node gives parents and does the work."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.client.answers import TransactionAnswer
from api.client.node_client import NodeClient, NotTakenError
from api.client.polling import poll
from api.client.sequence_file import release_sequence, reserve_sequence
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from tangle.address import address_of, encode_address
from tangle.codec import encode
from tangle.keys import SigningKey
from tangle.outcomes import State
from tangle.transaction import (
    VERSION,
    Operation,
    Transaction,
    TransactionId,
    sign,
    transaction_id,
)
from tangle.work import find_nonce, required_bits

PATIENCE_S: Final = 30.0
"""For how long a transaction that a node cannot take now is offered again."""

HASHES_PER_S: Final = 500_000
"""What a slow machine finds work with."""

FREE_BITS: Final = 18
"""Half a second of work there: done without a look at the clock."""

DECIMALS: Final = 6
"""Of both tokens: base units are millionths."""

FINAL_STATES: Final = (State.APPLIED, State.NO_VALUE, State.IGNORED, State.EXPIRED)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues: a key, and the file that remembers its sequence numbers."""

    key: SigningKey
    sequence_file: Path


def issue(
    client: NodeClient,
    issuer: Issuer,
    operation: Operation,
    network: str | None,
    patience_s: float = PATIENCE_S,
) -> str:
    """Sign an operation and hand it to a node; the key stays here.

    What the node cannot take now is offered again, over new parents and with the work it asks
    for, under the same sequence number. A number that certainly nobody has is given back.

    Args:
        client: The node. It chooses the parents and does the network's work.
        issuer: Who signs.
        operation: What to do.
        network: Hex id of the network this is meant for, `None` to take the node's word.
        patience_s: For how long it is offered; the first time in any case.

    Returns:
        The transaction's id, computed here.

    Raises:
        CommandError: The node cannot be reached, is of another network, or refuses.
    """
    deadline_s = time.monotonic() + patience_s
    info = client.info()
    if network is not None and info.network != network:
        raise CommandError(
            Failure(
                FailureCode.REFUSED,
                ExitCode.REFUSED,
                f"the node at {client.url} is of network {info.network}",
                f"this is meant for network {network}",
                "name a node of that network with --node",
            )
        )
    own = client.address(encode_address(address_of(issuer.key.public)))
    sequence = reserve_sequence(issuer.sequence_file, info.network, own.next_sequence)
    offered: str | None = None
    while True:
        try:
            transaction, item = signed_item(client, issuer.key, operation, sequence, deadline_s)
            offered = transaction_id(transaction).hex()
            client.submit(item)
        except NotTakenError as refusal:
            offered = None
            wait_s = refusal.retry_after_s
            if wait_s is None or time.monotonic() + wait_s > deadline_s:
                release_sequence(issuer.sequence_file, info.network, sequence)
                raise
            time.sleep(wait_s)  # the node named when it would take it: nothing comes sooner
        except CommandError as error:
            if offered is not None:
                raise _unknown(error, offered) from error
            release_sequence(issuer.sequence_file, info.network, sequence)
            raise
        else:
            return offered


def signed_item(
    client: NodeClient, key: SigningKey, operation: Operation, sequence: int, deadline_s: float
) -> tuple[Transaction, dict[str, object]]:
    """Return a transaction over parents of this moment, and how it is posted.

    Raises:
        NotTakenError: The door asks for more work than there is time for.
        CommandError: The node cannot be reached.
    """
    info, tips = client.info(), client.tips(key.public.hex())
    parents = sorted(TransactionId(bytes.fromhex(one)) for one in tips.parents)
    transaction = Transaction(
        version=VERSION,
        network=bytes.fromhex(info.network),
        parents=tuple(parents),
        issuer=key.public,
        sequence=sequence,
        issued_at_ms=info.ledger_time_ms,
        payload=operation,
    )
    item = _item(transaction, operation, key)
    if tips.more_bits:  # the node works as much as the network asks, and no more
        bits = required_bits(len(encode(transaction)), info.work_per_byte) + tips.more_bits
        _verify_affordable(client, bits, deadline_s - time.monotonic())
        item["nonce"] = find_nonce(transaction_id(transaction), bits).hex()
    return transaction, item


def _verify_affordable(client: NodeClient, bits: int, left_s: float) -> None:
    """Check that there is time for so much work. Raises `NotTakenError`: to wait may be cheaper."""
    if bits <= FREE_BITS or 2**bits <= HASHES_PER_S * left_s:
        return
    raise NotTakenError(
        Failure(
            FailureCode.UNREACHABLE,
            ExitCode.UNHEALTHY,
            f"the node at {client.url} asks for {bits} bits of work",
            f"that takes about {2**bits // HASHES_PER_S} s, {max(0.0, left_s):.0f} s are left:"
            " this key has sent much lately",
            "wait a minute, or use another node",
        ),
        retry_after_s=1,
    )


def _unknown(error: CommandError, tx_id: str) -> CommandError:
    """Return an error that says that the transaction may have been taken all the same."""
    failure = error.failure
    return CommandError(
        Failure(
            failure.code,
            failure.exit_code,
            failure.what,
            f"{failure.why}; transaction {tx_id} may have been taken all the same",
            f"look before you send again: tanglewatt explore {tx_id}",
        )
    )


def _item(transaction: Transaction, operation: Operation, key: SigningKey) -> dict[str, object]:
    """Return a signed transaction as JSON, without work."""
    return {
        "fields": {
            "version": transaction.version,
            "network": transaction.network.hex(),
            "parents": [parent.hex() for parent in transaction.parents],
            "issuer": transaction.issuer.hex(),
            "sequence": transaction.sequence,
            "issued_at_ms": transaction.issued_at_ms,
            "payload": {
                "type": "operation",
                "contract": operation.contract,
                "call": operation.call.hex(),
            },
        },
        "signature": sign(transaction, key).hex(),
    }


def wait_final(client: NodeClient, tx_id: str, timeout_s: float) -> TransactionAnswer:
    """Return where a transaction stands, once it is final.

    Raises:
        CommandError: It was ignored or expired (with its reason), or nothing was decided in time.
    """

    def final() -> TransactionAnswer | None:
        found = client.transaction(tx_id)
        return found if found.state in FINAL_STATES else None

    answer = poll(final, timeout_s)
    if answer is None:
        last = client.transaction(tx_id)
        raise CommandError(
            Failure(
                FailureCode.NOT_CONFIRMED,
                ExitCode.TIMED_OUT,
                f"transaction {tx_id} is {last.state} after {timeout_s:.0f} s",
                f"no milestone has referenced it yet; it waits for {last.waits_for}",
                f"look again with: tanglewatt explore {tx_id}",
            )
        )
    if answer.state in (State.IGNORED, State.EXPIRED):
        raise CommandError(
            Failure(
                FailureCode.REFUSED,
                ExitCode.REFUSED,
                f"transaction {tx_id} is {answer.state}",
                answer.reason or "it lies too deep to be referenced any more",
                "correct what the reason names and send again",
            )
        )
    return answer


def parse_amount(text: str) -> int:
    """Return base units for a decimal number of tokens such as `1.5`.

    Raises:
        CommandError: Not a positive decimal number of at most six places.
    """
    whole, point, part = text.partition(".")
    digits = whole + part
    fits = digits.isascii() and digits.isdecimal() and len(part) <= DECIMALS and len(whole) <= 12
    amount = int(whole or "0") * 10**DECIMALS + int(part.ljust(DECIMALS, "0")) if fits else 0
    if amount <= 0 or (point and not part):
        raise CommandError(
            Failure(
                FailureCode.BAD_ARGUMENT,
                ExitCode.USAGE,
                f"amount {text!r}",
                f"must be a positive decimal number of at most {DECIMALS} places",
                "for example 1.5",
            )
        )
    return amount


def shown_amount(base_units: int) -> str:
    """Return base units as a decimal number with six places."""
    whole, part = divmod(base_units, 10**DECIMALS)
    return f"{whole}.{part:0{DECIMALS}d}"
