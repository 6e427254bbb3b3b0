"""Every operation of the energy layer under the name that people write: the one table of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from energy import bank
from energy.bank import CONTRACT as BANK
from energy.bills import contract as bill
from energy.bills.contract import CONTRACT as BILL
from energy.bills.tariffs import Tariff
from energy.ctt import calls as ctt
from energy.ctt.contract import CONTRACT as CTT
from energy.forms.fields import (
    Field,
    Known,
    day,
    energy,
    ent,
    eur,
    hash_list,
    hash_of,
    integer,
    key_list,
    kwh_price,
    length,
    member,
    member_list,
    member_or_none,
    moment,
    order,
    parameter_name,
    parameter_text,
    parameter_value,
    price,
    rate,
    values,
    watts,
    word,
)
from energy.governance import acts
from energy.governance.contract import CONTRACT as GOVERNANCE
from energy.market import contract as market
from energy.market.contract import CONTRACT as MARKET
from energy.parameters import RULES
from energy.powerchain import calls as powerchain
from energy.powerchain.contract import CONTRACT as ENERGY
from energy.transfer import CONTRACT as TRANSFER
from energy.transfer import TransferEeuro, TransferEnt
from tangle.codec import encode
from tangle.contracts import Contract
from tangle.errors import InvalidError
from tangle.transaction import Operation

VOTE: Final = "governance.vote"
SET_PARAMETER: Final = "set_parameter"
METER: Final = "meter"
EDGE: Final = "edge"


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of call is written."""

    call: Callable[..., Any]
    fields: tuple[Field, ...]
    contract: Contract[Any]
    by: str | None = None
    """What the issuer is registered as, if it is a device."""


def _transfer(call: type, read: Any, into: str) -> Form:  # noqa: ANN401 # a reader of fields
    return Form(call, (_TO, Field("amount", into, read)), TRANSFER)


def _powerchain(call: type, *fields: Field, by: str | None = None) -> Form:
    return Form(call, fields, ENERGY, by)


def _bank(call: type, *fields: Field) -> Form:
    return Form(call, fields, BANK)


def _market(call: type, *fields: Field) -> Form:
    return Form(call, fields, MARKET)


def _ctt(call: type, *fields: Field, by: str | None = None) -> Form:
    return Form(call, fields, CTT, by)


def _bill(call: Callable[..., Any], *fields: Field) -> Form:
    return Form(call, fields, BILL)


def _tariff(**fields: Any) -> bill.SetTariff:  # noqa: ANN401 # what the readers return
    """Agree what is charged from a local day on. By the issuer of bills."""
    return bill.SetTariff(Tariff(**fields))


_TO: Final = Field("to", "to", member)
_MEMBER: Final = Field("member", "member", member)
_UNIT: Final = Field("unit", "unit", member, role=METER)
_ENERGY: Final = Field("energy", "energy_wh", energy)
_EUR: Final = Field("amount", "amount_ueur", eur)
_REPORT: Final = Field("report", "report", integer, is_optional=True)
_TOKEN: Final = Field("token", "token", integer)
TARIFF: Final = (
    Field("from_day", "from_day", day),
    Field("residual", "residual_ueur", kwh_price),
    Field("feed_in", "feed_in_ueur", kwh_price),
    Field("delivery", "delivery_ueur", eur),
    Field("rental", "rental_ueur", eur),
    Field("tax", "tax_ppm", rate, is_optional=True),
)
"""How a tariff is written, in an operation and in a file."""

_NUMBER: Final = Field("number", "number", integer)
_METER: Final = Field("meter", "meter", member, role=METER)
_ORDER: Final = (
    Field("amount", "amount_uent", ent),
    Field("price", "price_ueur", price),
    Field("expires", "expires_at_ms", moment, is_optional=True),
)
_REPORTED: Final = (
    _MEMBER,
    _ENERGY,
    _REPORT,
    Field("interval_end", "interval_end_ms", moment, is_optional=True),
    Field("unit", "unit", member, is_optional=True, role=METER),
)

FORMS: Final[Mapping[str, Form]] = {
    "transfer.ent": _transfer(TransferEnt, ent, "amount_uent"),
    "transfer.eeuro": _transfer(TransferEeuro, eur, "amount_ueur"),
    "energy.connect": _powerchain(
        powerchain.Connect,
        _UNIT,
        Field("edge", "edge", member, role=EDGE),
        Field("limit", "limit_uent", ent, is_optional=True),
    ),
    "energy.open_session": _powerchain(
        powerchain.OpenSession, _UNIT, Field("amount", "amount_uent", ent)
    ),
    "energy.close_session": _powerchain(powerchain.CloseSession, _UNIT),
    "energy.produced": _powerchain(powerchain.Produced, *_REPORTED),
    "energy.consumed": _powerchain(powerchain.Consumed, *_REPORTED),
    "energy.actual": _powerchain(powerchain.Actual, _ENERGY),
    "energy.reported": _powerchain(
        powerchain.Reported,
        Field("through", "through_ms", moment),
        Field("unit", "unit", member, is_optional=True, role=METER),
    ),
    "energy.delegate": _powerchain(powerchain.Delegate, Field("to", "to", member_or_none)),
    "bank.mint": _bank(bank.Mint, _MEMBER, _EUR),
    "bank.burn": _bank(bank.Burn, _MEMBER, _EUR),
    "bank.unlock": _bank(bank.Unlock, _MEMBER, _EUR),
    "bank.lock": _bank(bank.Lock, _EUR),
    "market.sell": _market(market.Sell, *_ORDER),
    "market.buy": _market(market.Buy, *_ORDER),
    "market.cancel": _market(market.Cancel, Field("order", "order", order)),
    "ctt.create": _ctt(
        ctt.Create,
        Field("admin", "admin", member),
        Field("operator", "operator", member),
        Field("max_tokens", "max_tokens", integer),
        Field("capacity", "capacity_wh", energy),
        Field("price", "price_ueur", eur),
    ),
    "ctt.set_max_token_supply": _ctt(
        ctt.SetMaxTokenSupply, Field("max_tokens", "max_tokens", integer)
    ),
    "ctt.update_admin": _ctt(ctt.UpdateAdmin, Field("admin", "admin", member)),
    "ctt.set_token_capacity": _ctt(
        ctt.SetTokenCapacity,
        Field("capacity", "capacity_wh", energy),
        Field("token", "token", integer, is_optional=True),
    ),
    "ctt.register": _ctt(ctt.Register, _METER),
    "ctt.confirm": _ctt(ctt.Confirm, _METER, Field("prosumer", "prosumer", member)),
    "ctt.buy_empty": _ctt(ctt.BuyEmpty, Field("count", "count", integer)),
    "ctt.set_on_sale": _ctt(
        ctt.SetOnSale,
        _TOKEN,
        Field("token_price", "token_price_ueur", eur),
        Field("energy_price", "energy_price_ueur", eur),
    ),
    "ctt.withdraw_sale": _ctt(ctt.WithdrawSale, _TOKEN),
    "ctt.buy": _ctt(ctt.Buy, _TOKEN, Field("max_price", "max_price_ueur", eur)),
    "ctt.transfer": _ctt(ctt.Transfer, _TOKEN, _TO),
    "ctt.approve": _ctt(ctt.Approve, _TOKEN, Field("to", "to", member_or_none)),
    "ctt.sign_interruption": _ctt(ctt.SignInterruption, Field("limit", "limit_w", watts)),
    "ctt.recharge": _ctt(ctt.Recharge, _ENERGY, _REPORT, by=METER),
    "ctt.consume": _ctt(ctt.Consume, _ENERGY, _REPORT, by=METER),
    "bill.tariff": _bill(
        _tariff,
        *TARIFF,
    ),
    "bill.issue": _bill(
        bill.Issue,
        Field("first_number", "first_number", integer),
        Field("digests", "digests", hash_list),
    ),
    "bill.credit": _bill(
        bill.Credit,
        _NUMBER,
        Field("digest", "digest", hash_of),
        Field("credits", "credits", integer),
    ),
    "bill.pay": _bill(bill.Pay, Field("issuer", "issuer", member), _NUMBER, _EUR),
    "bill.refund": _bill(bill.Refund, _NUMBER, _TO, _EUR),
}
"""By name; votes have a table of their own."""

ACTS: Final[Mapping[str, tuple[Callable[..., acts.Act], tuple[Field, ...]]]] = {
    "add_voter": (acts.AddVoter, (_MEMBER,)),
    "remove_voter": (acts.RemoveVoter, (_MEMBER,)),
    "register_unit": (
        acts.RegisterUnit,
        (
            _UNIT,
            Field("owner", "owner", member),
            Field("capacity", "capacity_wh", energy),
            Field("efficiency", "efficiency_ppm", rate, is_optional=True),
        ),
    ),
    "remove_unit": (acts.RemoveUnit, (_UNIT,)),
    "set_banker": (acts.SetBanker, (_MEMBER,)),
    "confirm_device": (
        acts.ConfirmDevice,
        (Field("device", "device", member, role=METER),),
    ),
    "cohort": (
        acts.SetCohort,
        (
            Field("name", "name", word),
            Field("nodes", "nodes", member_list, role=EDGE),
            Field("quorum", "quorum", word),
            Field("max_stale", "max_stale_ms", length),
            Field("skew", "skew_ms", length),
        ),
    ),
    "fund_mint": (acts.FundMint, (_MEMBER, _EUR)),
    "fund_burn": (acts.FundBurn, (_MEMBER, _EUR)),
    "coordinator_keys": (
        acts.CoordinatorKeysAct,
        (Field("keys", "keys", key_list), Field("k", "quorum", integer)),
    ),
}
"""What can be voted on, by name; `set_parameter` is written as its parameter is."""

PARAMETER_FIELDS: Final = (
    Field("name", "name", parameter_name),
    Field("value", "value", parameter_text),
)
"""Of the act `set_parameter`."""


def operation(do: str, given: Mapping[str, object], known: Known) -> Operation:
    """Return the payload of an operation as people write it.

    Args:
        do: Its name: `energy.produced`, `governance.vote`, …
        given: Its fields, in plain units.
        known: What names stand for.

    Raises:
        InvalidError: No such operation, or a field breaks its rule; names both.
    """
    if do == VOTE:
        return _operation(GOVERNANCE, _vote(given, known))
    form = FORMS.get(do)
    if form is None:
        raise InvalidError(f"no operation {do!r}: there are {', '.join([*FORMS, VOTE])}")
    read = values(form.fields, given, known)
    return _operation(form.contract, _made(form.call, read))


def act(name: str, arguments: Mapping[str, object], known: Known) -> acts.Act:
    """Return what is voted on. A name that is none becomes an act that voters see refused.

    Raises:
        InvalidError: An argument breaks its rule.
    """
    if name == SET_PARAMETER:
        return _parameter(arguments, known)
    if name not in ACTS:
        return acts.NamedAct(name)
    call, fields = ACTS[name]
    made: acts.Act = _made(call, values(fields, arguments, known))
    return made


def fields_of(do: str, given: Mapping[str, object]) -> tuple[Field, ...]:
    """Return the fields of an operation, or of the act it votes on; none if it is not known."""
    if do == VOTE:
        name = str(given.get("act"))
        return ACTS[name][1] if name in ACTS else ()
    return FORMS[do].fields if do in FORMS else ()


def _vote(given: Mapping[str, object], known: Known) -> acts.Vote:
    unknown = sorted(set(given) - {"act", "arguments", "yes"})
    if unknown:
        raise InvalidError(f"no field {unknown[0]!r}: the fields are act, arguments, yes")
    name, arguments, yes = given.get("act"), given.get("arguments", {}), given.get("yes", True)
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise InvalidError("act must be a name, and arguments a table")
    if not isinstance(yes, bool):
        raise InvalidError(f"yes: {yes!r} is neither true nor false")
    return acts.Vote(act(name, arguments, known), yes)


def _parameter(arguments: Mapping[str, object], known: Known) -> acts.Act:
    read = values(PARAMETER_FIELDS, arguments, known)
    name = str(read["name"])
    value = parameter_value(name, read["value"]) if name in RULES else 0
    return acts.SetParameter(name, value)


def _made(call: Callable[..., Any], fields: Mapping[str, object]) -> Any:  # noqa: ANN401 # the struct of that call
    try:
        return call(**fields)
    except ValueError as error:
        raise InvalidError(str(error)) from error


def _operation(contract: Contract[Any], call: object) -> Operation:
    """Return the payload, held against the rules that every node checks it by."""
    try:
        data = encode(call)
    except (OverflowError, UnicodeEncodeError) as error:  # 2^64 and beyond, half a character
        raise InvalidError(f"{contract.name}: {error}") from error
    contract.decode(data)
    return Operation(contract.name, data)
