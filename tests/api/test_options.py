import pytest

from api.failures import CommandError
from api.terminal.options import settings


def test_settings_are_section_key_and_value() -> None:
    assert settings(["http.port=1", "node.name=a=b"]) == {"http.port": "1", "node.name": "a=b"}
    assert settings(None) == {}
    for wrong in ("http.port", "port=1"):
        with pytest.raises(CommandError, match=r"SECTION\.KEY=VALUE"):
            settings([wrong])
