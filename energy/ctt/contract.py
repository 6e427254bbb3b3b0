"""The `ctt` contract: who may do what to energy accounts (Marchesi, Pinna, Pisu, Tonelli 2020)."""

from typing import Final

import msgspec

from energy.ctt.calls import (
    NAME,
    Approve,
    Buy,
    BuyEmpty,
    Confirm,
    Consume,
    Create,
    CttCall,
    Recharge,
    Register,
    SetMaxTokenSupply,
    SetOnSale,
    SetTokenCapacity,
    SignInterruption,
    Transfer,
    UpdateAdmin,
    WithdrawSale,
    decoder,
)
from energy.ctt.metered import consume, recharge
from energy.ctt.rows import (
    COLLECTION_KEY,
    PROPOSAL_PREFIX,
    Claim,
    Collection,
    CttMeter,
    Proposal,
    account,
    account_key,
    account_row,
    claim_key,
    collection,
    ctt_meter,
    meter_key,
    token,
    token_rows,
)
from energy.ctt.trading import approve, buy, buy_empty, set_on_sale, transfer, withdraw_sale
from energy.members import is_voter, voters
from tangle.accounts import NO_ADDRESS, identity
from tangle.address import Address
from tangle.codec import encode
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader


def apply_ctt(rows: RowReader, call: CttCall, context: Context) -> Changed | Reason:
    """Decide one call. Each kind of call says by itself who may make it."""
    match call:
        case Create() | SetMaxTokenSupply() | UpdateAdmin() | SetTokenCapacity():
            return _manage(rows, call, context)
        case Register() | Confirm() | SignInterruption():
            return _enrol(rows, call, context)
        case BuyEmpty() | SetOnSale() | WithdrawSale() | Buy() | Transfer() | Approve():
            return _trade(rows, call, context)
        case Recharge():
            return recharge(rows, call, context)
        case Consume():
            return consume(rows, call, context)


def _manage(
    rows: RowReader,
    call: Create | SetMaxTokenSupply | UpdateAdmin | SetTokenCapacity,
    context: Context,
) -> Changed | Reason:
    match call:
        case Create():
            return _create(rows, call, context)
        case SetMaxTokenSupply() | UpdateAdmin():
            return _administer(rows, call, context)
        case SetTokenCapacity():
            return _set_capacity(rows, call, context)


def _trade(
    rows: RowReader,
    call: BuyEmpty | SetOnSale | WithdrawSale | Buy | Transfer | Approve,
    context: Context,
) -> Changed | Reason:
    match call:
        case BuyEmpty():
            return buy_empty(rows, call, context)
        case SetOnSale():
            return set_on_sale(rows, call, context)
        case WithdrawSale():
            return withdraw_sale(rows, call, context)
        case Buy():
            return buy(rows, call, context)
        case Transfer():
            return transfer(rows, call, context)
        case Approve():
            return approve(rows, call, context)


def _create(rows: RowReader, call: Create, context: Context) -> Changed | Reason:
    """`NOT_ALLOWED` but for a voter, and when there is a collection already.

    It is there once more than half of the voters of the moment want it on the same terms; until
    then their proposals wait, one a voter: who runs it is paid for every token ever made.
    """
    if not is_voter(rows, context.address) or collection(rows) is not None:
        return Reason.NOT_ALLOWED
    terms = Proposal(call.admin, call.operator, call.max_tokens, call.capacity_wh, call.price_ueur)
    present, own = voters(rows), context.address
    found = {
        Address(key.removeprefix(PROPOSAL_PREFIX)): row for key, row in rows.scan(PROPOSAL_PREFIX)
    }
    found[own] = encode(terms)
    in_favour = sum(row == found[own] for voter, row in found.items() if voter in present)
    if 2 * in_favour <= len(present):
        proposed = Event("ctt.proposed", (("voter", own), ("in_favour", in_favour)))
        return Changed({PROPOSAL_PREFIX + own: found[own]}, (proposed,))
    made = Collection(
        call.admin, call.operator, call.max_tokens, call.capacity_wh, call.price_ueur, 0
    )
    event = Event("ctt.created", (("admin", call.admin), ("operator", call.operator)))
    changes: dict[bytes, bytes | None] = {PROPOSAL_PREFIX + voter: None for voter in found}
    return Changed(changes | {COLLECTION_KEY: encode(made)}, (event,))


def _administer(
    rows: RowReader, call: SetMaxTokenSupply | UpdateAdmin, context: Context
) -> Changed | Reason:
    """`NOT_ALLOWED` but for the admin; `SUPPLY_CAP` below the number of tokens there are."""
    held = collection(rows)
    if held is None or held.admin != context.address:
        return Reason.NOT_ALLOWED
    match call:
        case SetMaxTokenSupply():
            if call.max_tokens < held.made:
                return Reason.SUPPLY_CAP
            held = msgspec.structs.replace(held, max_tokens=call.max_tokens)
        case UpdateAdmin():
            held = msgspec.structs.replace(held, admin=call.admin)
    event = Event("ctt.collection", (("admin", held.admin), ("max_tokens", held.max_tokens)))
    return Changed({COLLECTION_KEY: encode(held)}, (event,))


def _set_capacity(rows: RowReader, call: SetTokenCapacity, context: Context) -> Changed | Reason:
    """`NOT_ALLOWED` but for the operator; `CAPACITY` below what the token holds.

    `OUT_OF_RANGE` if there is no token of that number.
    """
    made = collection(rows)
    if made is None or made.operator != context.address:
        return Reason.NOT_ALLOWED
    if call.token is None:
        made = msgspec.structs.replace(made, capacity_wh=call.capacity_wh)
        event = Event("ctt.capacity", (("capacity_wh", call.capacity_wh),))
        return Changed({COLLECTION_KEY: encode(made)}, (event,))
    one = token(rows, call.token)
    if one is None:
        return Reason.OUT_OF_RANGE
    if call.capacity_wh < one.energy_wh:
        return Reason.CAPACITY
    after = msgspec.structs.replace(one, capacity_wh=call.capacity_wh)
    event = Event("ctt.capacity", (("token", call.token), ("capacity_wh", call.capacity_wh)))
    return Changed(token_rows(call.token, one, after), (event,))


def _enrol(
    rows: RowReader, call: Register | Confirm | SignInterruption, context: Context
) -> Changed | Reason:
    match call:
        case Register():
            return _register(rows, call, context)
        case Confirm():
            return _confirm(rows, call, context)
        case SignInterruption():
            return _sign_interruption(rows, call, context)


def _register(rows: RowReader, call: Register, context: Context) -> Changed | Reason:
    """`UNKNOWN_MEMBER` for what is no registered meter; `NOT_YOURS` if its register names another.

    A meter of the genesis names no owner: whose it is, the operator confirms.
    """
    device = identity(rows, call.meter)
    if device is None or device.role != "meter":
        return Reason.UNKNOWN_MEMBER
    if device.owner not in (NO_ADDRESS, context.address):
        return Reason.NOT_YOURS
    claim = Claim(context.timestamp_ms)
    event = Event("ctt.registered", (("meter", call.meter), ("prosumer", context.address)))
    return Changed({claim_key(call.meter, context.address): encode(claim)}, (event,))


def _confirm(rows: RowReader, call: Confirm, context: Context) -> Changed | Reason:
    """`NOT_ALLOWED` but for the operator; `NOT_CONFIRMED` if nobody of that name registered it.

    Report numbers go on where a former prosumer's ended.
    """
    made = collection(rows)
    if made is None or made.operator != context.address:
        return Reason.NOT_ALLOWED
    claim = claim_key(call.meter, call.prosumer)
    if rows.get(claim) is None:
        return Reason.NOT_CONFIRMED
    former = ctt_meter(rows, call.meter)
    confirmed = CttMeter(call.prosumer, 0 if former is None else former.next_report)
    event = Event("ctt.confirmed", (("meter", call.meter), ("prosumer", call.prosumer)))
    return Changed({claim: None, meter_key(call.meter): encode(confirmed)}, (event,))


def _sign_interruption(
    rows: RowReader, call: SignInterruption, context: Context
) -> Changed | Reason:
    held = msgspec.structs.replace(account(rows, context.address), limit_w=call.limit_w)
    limit = "never" if call.limit_w is None else call.limit_w
    event = Event("ctt.interruption", (("member", context.address), ("limit_w", limit)))
    return Changed({account_key(context.address): account_row(held)}, (event,))


CONTRACT: Final = Contract(NAME, decoder.decode, apply_ctt)
