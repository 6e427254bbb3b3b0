"""A certification node: from an ask to an answer, with what must be durable before it is sent.

The shell opens the box, feeds the bytes in, and carries out the effects in order. What it seals
and sends comes after what it must write down: a node that is killed in between has answered
nothing, and answers the same ask no second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from access.codes import Code
from access.matching.case import Case, Vantage, chunks_of, label_of
from access.matching.matcher import Allowed, Denied, decide
from access.matching.message import Answer, NumberedPartial
from access.requests.receipt import (
    NO_RECEIPT,
    Receipt,
    SignedReceipt,
    receipt_hash,
    receipt_message,
)
from access.streams.sealing import label_bytes
from access.threshold.tdh2 import make_partial
from access.vaults.dealing import HeldShare
from tangle.accounts import network_hash
from tangle.codec import encode
from tangle.keys import SigningKey
from tangle.merkle import merkle_root

NO_POLICY: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Remember:
    """Write down, durably, before anything is sent."""

    receipt: SignedReceipt
    replay_key: bytes | None
    """Of what is answered once; `None` for a denial. Part of `Vantage.answered` from now on."""

    until_ms: int
    """When the key may be forgotten: then the grant is over, and denied for that."""

    is_offline_release: bool


@dataclass(frozen=True, slots=True)
class SealAndSend:
    """Seal to a request's key and send."""

    kem_key: bytes
    request: bytes
    answer: Answer


@dataclass(frozen=True, slots=True)
class SendOpen:
    """Send as it is, to who asked: there is no key to seal to, and nothing secret in it."""

    receipt: SignedReceipt


Effect = Remember | SealAndSend | SendOpen


class CertificationNode:
    """Decides what to answer; never does it. One task owns it."""

    def __init__(
        self,
        key: SigningKey,
        shares: Mapping[bytes, HeldShare],
        last: Receipt | None,
    ) -> None:
        """Take the node's signing key, its shares by vault, and its last durable receipt."""
        self._key = key
        self._shares = dict(shares)
        self._number = 0 if last is None else last.number + 1
        self._previous = NO_RECEIPT if last is None else receipt_hash(last)

    def hold(self, vault: bytes, share: HeldShare) -> None:
        """Take a share in the place of the one before, which is gone."""
        self._shares[vault] = share

    def erase(self, vault: bytes) -> None:
        """Forget a share."""
        self._shares.pop(vault, None)

    def held(self) -> dict[bytes, int]:
        """Return which sharing the node holds of which vault: what it must not have any more."""
        return {vault: share.number for vault, share in self._shares.items()}

    def receive(self, data: bytes, at: Vantage, entropy: bytes) -> list[Effect]:
        """Answer an ask.

        Args:
            data: The opened bytes. Any bytes.
            at: The node's ledger, clocks and memory.
            entropy: `tdh2.PARTIAL_ENTROPY` random bytes, never used again.
        """
        verdict = decide(data, at)
        match verdict:
            case Allowed():
                return self._release(verdict, entropy)
            case Denied():
                return self._deny(verdict, at)
            case _:
                assert_never(verdict)

    def _partials(self, allowed: Allowed, entropy: bytes) -> tuple[NumberedPartial, ...]:
        """Return a partial of each chunk; none if the node's share is not the one in force."""
        case = allowed.case
        assert case.request is not None, "an allowed case has its request on the ledger"
        assert case.grant is not None, "an allowed case has its grant on the ledger"
        assert case.vault is not None, "an allowed case has its vault on the ledger"
        held, sharing = self._shares.get(case.grant.vault), case.vault.sharing
        if held is None or sharing is None:
            return ()
        if (held.number, held.index) != (sharing.number, allowed.index):
            return ()
        made = []
        for number, one in chunks_of(case):
            label = (
                None if one is None else label_of(case.at.rows, case.request.stream, number, one)
            )
            assert one is not None, "an allowed case has all its chunks on the ledger"
            assert label is not None, "a chunk names a vault"
            partial = make_partial(one.capsule, label_bytes(label), held.index, held.share, entropy)
            made.append(NumberedPartial(number, partial))
        return tuple(made)

    def _release(self, allowed: Allowed, entropy: bytes) -> list[Effect]:
        case, partials = allowed.case, self._partials(allowed, entropy)
        if not partials:
            return self._deny(Denied(Code.DENY_THRESHOLD, case), case.at)
        assert case.request is not None, "an allowed case has its request on the ledger"
        root = merkle_root([encode(one) for one in partials])
        is_offline = allowed.is_offline
        receipt = self._receipt(case.at, _said_of(case, Code.ALLOW, root, is_offline=is_offline))
        return [
            Remember(receipt, case.replay_key, self._end_ms(case), is_offline),
            SealAndSend(case.request.kem_key, case.ask.request, Answer(receipt, partials)),
        ]

    @staticmethod
    def _end_ms(case: Case) -> int:
        """Return from when on check f denies, by the slowest clock that a node may have."""
        assert case.grant is not None, "an allowed case has its grant on the ledger"
        end_ms = min(case.grant.not_after_ms, case.dact.context.not_after_ms)
        return end_ms + case.skew_ms

    def _deny(self, denied: Denied, at: Vantage) -> list[Effect]:
        case, nothing = denied.case, merkle_root([])
        if case is None:
            said = _Said(NO_RECEIPT, NO_POLICY, denied.code, nothing)
        else:
            said = _said_of(case, denied.code, nothing)
        receipt = self._receipt(at, said)
        remember = Remember(receipt, None, 0, is_offline_release=False)
        if case is None or case.request is None:
            return [remember, SendOpen(receipt)]
        answer = Answer(receipt, ())
        return [remember, SealAndSend(case.request.kem_key, case.ask.request, answer)]

    def _receipt(self, at: Vantage, said: "_Said") -> SignedReceipt:
        receipt = Receipt(
            network_hash(at.rows),
            at.node,
            self._number,
            self._previous,
            said.request,
            said.code,
            said.policy,
            at.milestone_index,
            said.partials,
            int(said.is_offline),
        )
        self._number += 1
        self._previous = receipt_hash(receipt)
        return SignedReceipt(receipt, self._key.sign(receipt_message(receipt)))


@dataclass(frozen=True, slots=True)
class _Said:
    """What a receipt says beside who and when."""

    request: bytes
    policy: bytes
    code: Code
    partials: bytes
    is_offline: bool = False


def _said_of(case: Case, code: Code, partials: bytes, *, is_offline: bool = False) -> _Said:
    policy = NO_POLICY if case.grant is None else case.grant.commitment
    return _Said(case.ask.request, policy, code, partials, is_offline)
