from pathlib import Path

import pytest

from api.settings.layout import Layout
from api.settings.wallet_file import read_wallet_public_key, read_wallet_words
from edge.ground.key_file import read_passphrase
from tangle.errors import InvalidKeyFileError


def test_a_wallet_that_others_may_read_is_refused(made: Layout) -> None:
    file = made.wallet_file("home_01")
    file.chmod(0o640)

    with pytest.raises(InvalidKeyFileError, match="mode 0640"):
        read_wallet_public_key(file)


def test_a_wallet_opens_with_its_passphrase_only(made: Layout) -> None:
    with pytest.raises(InvalidKeyFileError, match="passphrase does not open"):
        read_wallet_words(made.wallet_file("home_01"), b"wrong")


@pytest.mark.parametrize("content", [b"", b"words", b"\x95\x01"])
def test_what_is_no_wallet_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "wallet.key"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(InvalidKeyFileError, match="not a wallet"):
        read_wallet_public_key(file)


def test_a_missing_wallet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeyFileError, match="No such file"):
        read_wallet_public_key(tmp_path / "none")


def test_a_wallet_whose_words_lead_to_another_key_is_refused(made: Layout) -> None:
    file, other = made.wallet_file("home_01"), made.wallet_file("home_02")
    swapped = file.read_bytes().replace(read_wallet_public_key(file), read_wallet_public_key(other))
    file.write_bytes(swapped)

    with pytest.raises(InvalidKeyFileError, match="lead to another key"):
        read_wallet_words(file, read_passphrase(made.passphrase_file))
