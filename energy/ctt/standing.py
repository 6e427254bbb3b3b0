"""The standing of a meter: a state proof of all that the ledger says to it, under one milestone.

Which prosumer it reports for, what that one has and agreed to, which reports and which numbers of
its own are used, and how long a settlement period is. A meter that has genesis needs to believe
nobody who hands it over: its relay and its reports go by this alone (ENERGY §6).
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from energy.ctt.rows import Account, account_key, ctt_meter, decode_account, meter_key
from energy.parameters import PARAMETERS_KEY, parameters
from tangle.accounts import SEQUENCE_PREFIX, sequence_window
from tangle.address import Address
from tangle.anchors import Anchor, ProvenMilestone, naming, verify_anchor
from tangle.codec import Decoder, encode
from tangle.errors import InvalidProofError
from tangle.genesis import Genesis
from tangle.proofs import RowState, row_state
from tangle.proven import verify_row_state
from tangle.rows import RowReader, Rows
from tangle.sequences import SequenceWindow
from tangle.trie import Trie

MAX_STANDING_SIZE: Final = 65_536
"""What the broker takes in one message: four rows, and some dozens of changes of the keys."""


class StandingProof(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one state. Their keys follow from the meter, so none is in it."""

    anchor: Anchor
    meter: RowState
    """Whom it reports for, and the number of its next report."""

    account: RowState | None
    """Of that prosumer; `None` where the meter is proven to report for nobody."""

    sequence: RowState
    """The meter's own numbers as an issuer."""

    parameters: RowState
    """Of the community."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger said to a meter after one milestone. Proven."""

    milestone: ProvenMilestone
    prosumer: Address | None
    """`None`: it is confirmed for nobody."""

    next_report: int
    account: Account
    """Of the prosumer."""

    sequence: SequenceWindow
    period_ms: int
    """Settlement period of the community, ledger time."""

    @property
    def limit_w(self) -> int | None:
        """What may still be drawn, 0 for nothing; `None` while nothing is to be interrupted."""
        return limit_of(self.account)


def limit_of(held: Account) -> int | None:
    """Return what may be drawn on an account, in W: 0 for nothing, `None` while all may.

    A supply is limited while nothing is available, if its member signed for it (ENERGY §6).
    """
    return None if held.available_wh else held.limit_w


_decoder: Final = Decoder(StandingProof, "standing", MAX_STANDING_SIZE)


def prove_standing(anchor: Anchor, trie: Trie, rows: RowReader, meter: Address) -> bytes:
    """Return the canonical bytes of a meter's standing.

    Args:
        anchor: The milestone that led to the state.
        trie: Of the state.
        rows: The state.
        meter: Whose standing; any address has one.
    """
    confirmed = ctt_meter(rows, meter)
    account = None
    if confirmed is not None:
        account = row_state(trie, rows, account_key(Address(confirmed.prosumer)))
    return encode(
        StandingProof(
            anchor,
            row_state(trie, rows, meter_key(meter)),
            account,
            row_state(trie, rows, SEQUENCE_PREFIX + meter),
            row_state(trie, rows, PARAMETERS_KEY),
        )
    )


def verify_standing(data: bytes, genesis: Genesis, meter: Address) -> Standing:
    """Return what a standing proves to `meter`, with nothing but genesis to believe in.

    Raises:
        MalformedBytesError: Not the canonical spelling of a standing.
        InvalidProofError: Of another network, meter or account, not signed by a quorum of the
            keys that hold at its index, or a row is not the state's.
    """
    proof = _decoder.decode(data)
    milestone, _ = verify_anchor(proof.anchor, genesis)
    values: dict[bytes, bytes] = {}
    _take(values, meter_key(meter), proof.meter, milestone)
    _take(values, SEQUENCE_PREFIX + meter, proof.sequence, milestone)
    _take(values, PARAMETERS_KEY, proof.parameters, milestone)
    with naming("value of a row"):
        rows = Rows(values)
        confirmed = ctt_meter(rows, meter)
        if (confirmed is None) != (proof.account is None):
            raise InvalidProofError("an account is there if, and only if, the meter reports for it")
        held = Account()
        if confirmed is not None and proof.account is not None:
            key = account_key(Address(confirmed.prosumer))
            verify_row_state(key, proof.account, milestone)
            held = decode_account(proof.account.value)
        return Standing(
            milestone,
            None if confirmed is None else Address(confirmed.prosumer),
            0 if confirmed is None else confirmed.next_report,
            held,
            sequence_window(rows, meter),
            parameters(rows).settlement_period_ms,
        )


def _take(
    values: dict[bytes, bytes], key: bytes, state: RowState, milestone: ProvenMilestone
) -> None:
    verify_row_state(key, state, milestone)
    if state.value is not None:
        values[key] = state.value
