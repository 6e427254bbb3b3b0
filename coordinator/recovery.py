"""What a coordinator without its lock file may take for its last milestone. Pure.

A lock that says too little lets the coordinator sign a second milestone of one index, which
stops the network. So every configured peer has to name the same last milestone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.lock import Lock
from tangle.errors import InvalidError, RecoveryRefusedError
from tangle.keys import PublicKey
from tangle.transaction import Milestone, TransactionId
from tangle.verification import parse


@dataclass(frozen=True, slots=True)
class LastMilestone:
    """What one node says it has applied last."""

    node: PublicKey
    network: bytes
    index: int
    milestone_id: TransactionId
    data: bytes
    """Canonical bytes of the milestone; empty at index 0."""


def recovered_lock(
    answers: Sequence[LastMilestone],
    peers: Mapping[PublicKey, str],
    network: bytes,
    *,
    accepts_missing: bool = False,
) -> Lock:
    """Return the lock to go on with.

    Args:
        answers: What the peers that were asked say.
        peers: Alias of every configured peer, by its key.
        network: First 8 bytes of the genesis hash.
        accepts_missing: An operator answers for the peers that were not asked.

    Raises:
        RecoveryRefusedError: A peer is missing or not configured, is of another network, names
            another milestone than the others, or shows one that is not what it names.
    """
    if not answers:
        raise RecoveryRefusedError("no peer was asked")
    for answer in answers:
        _check(answer, peers, network)
    first, *others = answers
    for other in others:
        if (other.index, other.milestone_id) != (first.index, first.milestone_id):
            raise RecoveryRefusedError(
                f"{peers[first.node]} is at milestone {first.index} {first.milestone_id.hex()},"
                f" {peers[other.node]} at {other.index} {other.milestone_id.hex()}"
            )
    missing = sorted(set(peers.values()) - {peers[answer.node] for answer in answers})
    if missing and not accepts_missing:
        raise RecoveryRefusedError(f"not asked: {', '.join(missing)}")
    return Lock(network, first.index, first.milestone_id, first.data)


def _check(answer: LastMilestone, peers: Mapping[PublicKey, str], network: bytes) -> None:
    alias = peers.get(answer.node)
    if alias is None:
        raise RecoveryRefusedError(f"node {answer.node.hex()} is not a configured peer")
    if answer.network != network:
        raise RecoveryRefusedError(
            f"{alias} is of network {answer.network.hex()}, not {network.hex()}"
        )
    if answer.index == 0 and not answer.data:
        return
    try:
        shown = parse(answer.data)
    except InvalidError as error:
        raise RecoveryRefusedError(f"{alias} shows no milestone: {error}") from error
    payload = shown.transaction.payload
    if not isinstance(payload, Milestone) or (payload.index, shown.tx_id) != (
        answer.index,
        answer.milestone_id,
    ):
        raise RecoveryRefusedError(
            f"{alias} names milestone {answer.index} {answer.milestone_id.hex()}"
            f" and shows {shown.tx_id.hex()}"
        )
