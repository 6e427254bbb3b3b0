"""Takes each check out of the matcher in turn: an attack must succeed then."""

import pytest

from access.codes import Code
from access.matching import matcher
from tests.access import test_attacks_grants, test_attacks_requests
from tests.access.world import new_world

ATTACKS = [
    (name, attack)
    for module in (test_attacks_grants, test_attacks_requests)
    for name, attack in sorted(vars(module).items())
    if name.startswith("test_attack_")
]


def failing() -> list[str]:
    """Return the attack tests that fail against the matcher as it is now."""
    failed = []
    for name, attack in ATTACKS:
        try:
            attack()
        except AssertionError:
            failed.append(name)
    return failed


@pytest.mark.parametrize("letter", matcher.CHECKS)
def test_without_a_check_an_attack_succeeds(letter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {name: check for name, check in matcher.CHECKS.items() if name != letter}
    monkeypatch.setattr(matcher, "CHECKS", fewer)

    assert failing() != []


def test_with_all_checks_no_attack_succeeds() -> None:
    assert failing() == []


def test_the_checks_are_thirteen_in_the_order_of_the_design() -> None:
    assert "".join(matcher.CHECKS) == "abcdefghijklm"


def test_without_any_check_everything_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mutant opens is open: no check hides behind another one."""
    monkeypatch.setattr(matcher, "CHECKS", {})
    world = new_world()
    made, _ = world.drafted(world.granted())

    assert world.code(world.ask(made)) is Code.ALLOW
