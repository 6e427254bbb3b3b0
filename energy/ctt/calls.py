"""What can be asked of the CTT contract: a closed union, in the words of ERC-721 where it fits."""

from typing import Annotated, Final

import msgspec

from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.transaction import MAX_CALL_SIZE, Counter, Operation

NAME: Final = "ctt"
MAX_BOUGHT: Final = 100
"""New tokens in one operation."""


class Create(msgspec.Struct, frozen=True, array_like=True, tag="create"):
    """Create the collection, once. By more than half of the voters, each with the same terms."""

    admin: AddressField
    operator: AddressField
    max_tokens: Counter
    capacity_wh: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    price_ueur: Counter


class SetMaxTokenSupply(msgspec.Struct, frozen=True, array_like=True, tag="set_max_token_supply"):
    """Change how many tokens there may be. By the admin."""

    max_tokens: Counter


class UpdateAdmin(msgspec.Struct, frozen=True, array_like=True, tag="update_admin"):
    """Hand the collection over. By the admin."""

    admin: AddressField


class SetTokenCapacity(msgspec.Struct, frozen=True, array_like=True, tag="set_token_capacity"):
    """Change the capacity of one token, or of all that are made from now on. By the operator."""

    capacity_wh: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    token: Counter | None = None


class Register(msgspec.Struct, frozen=True, array_like=True, tag="register"):
    """Say that a meter is one's own. By the prosumer."""

    meter: AddressField


class Confirm(msgspec.Struct, frozen=True, array_like=True, tag="confirm"):
    """Let a meter act for the prosumer who registered it. By the operator."""

    meter: AddressField
    prosumer: AddressField


class BuyEmpty(msgspec.Struct, frozen=True, array_like=True, tag="buy_empty"):
    """Have new, empty tokens made, and pay the admin for them."""

    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_BOUGHT)]


class SetOnSale(msgspec.Struct, frozen=True, array_like=True, tag="set_on_sale"):
    """Offer a token with the energy on board. By its owner."""

    token: Counter
    token_price_ueur: Counter
    energy_price_ueur: Counter
    """µEUR per kWh."""


class WithdrawSale(msgspec.Struct, frozen=True, array_like=True, tag="withdraw_sale"):
    """Take an offer back. By the owner."""

    token: Counter


class Buy(msgspec.Struct, frozen=True, array_like=True, tag="buy"):
    """Buy a token that is on sale, for no more than `max_price_ueur`."""

    token: Counter
    max_price_ueur: Counter


class Transfer(msgspec.Struct, frozen=True, array_like=True, tag="transfer"):
    """Give a token away. By its owner, or by who is approved for it."""

    token: Counter
    to: AddressField


class Approve(msgspec.Struct, frozen=True, array_like=True, tag="approve"):
    """Let one other address transfer a token, or nobody. By its owner."""

    token: Counter
    to: AddressField | None


class SignInterruption(msgspec.Struct, frozen=True, array_like=True, tag="sign_interruption"):
    """Agree to be interrupted while nothing is available, down to a power; `None` takes it back."""

    limit_w: Annotated[int, msgspec.Meta(ge=0, le=10**6)] | None


class Recharge(msgspec.Struct, frozen=True, array_like=True, tag="recharge"):
    """Charge the prosumer's tokens with production. By its confirmed meter."""

    energy_wh: Counter
    report: Counter | None = None
    """Number of the report; `None` for the next one."""


class Consume(msgspec.Struct, frozen=True, array_like=True, tag="consume"):
    """Deplete the prosumer's tokens by consumption. By its confirmed meter."""

    energy_wh: Counter
    report: Counter | None = None


CttCall = (
    Create
    | SetMaxTokenSupply
    | UpdateAdmin
    | SetTokenCapacity
    | Register
    | Confirm
    | BuyEmpty
    | SetOnSale
    | WithdrawSale
    | Buy
    | Transfer
    | Approve
    | SignInterruption
    | Recharge
    | Consume
)

decoder: Final[Decoder[CttCall]] = Decoder(CttCall, "CTT call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy


def ctt_operation(call: CttCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))
