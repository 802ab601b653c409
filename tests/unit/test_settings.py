"""Stack configuration: typed, and refused with the command that mends it."""

from pathlib import Path

import pytest

from celerylab.errors import InputError
from celerylab.topology.environment import Setting
from celerylab.topology.module import CourseModule, load_module, module_folder
from celerylab.topology.settings import pulumi_configuration, stack_settings


@pytest.fixture
def module(module_02: Path) -> CourseModule:
    return load_module(module_02)


def test_defaults_are_filled_in(module: CourseModule) -> None:
    settings = stack_settings(module, {}, {})
    assert settings.values == {"broker": "redis"}
    assert settings.hours == 8
    assert settings.lab is None


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"broker": "rabitmq"}, "celerylab:broker is 'rabitmq': write one of redis, rabbitmq (did you mean rabbitmq?)"),
        ({"brokr": "redis"}, "celerylab:brokr: module 02 has no such setting (did you mean broker?)"),
        ({"hours": "0"}, "celerylab:hours is '0': write a whole number from 1 to 720"),
        ({"hours": "long"}, "write a whole number from 1 to 720"),
        ({"ports": "broker"}, "celerylab:ports has 'broker': write name=port"),
        ({"ports": "broker=99999"}, "with a port from 1 to 65535"),
    ],
)
def test_what_cannot_be_is_refused(module: CourseModule, configuration: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as refusal:
        stack_settings(module, configuration, {})
    assert words in str(refusal.value)


def test_fixed_ports_are_read(module: CourseModule) -> None:
    assert stack_settings(module, {"ports": "broker=16379, ledger=18400"}, {}).ports == {"broker": 16379, "ledger": 18400}


def test_only_our_namespace_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"celerylab:module": "02", "aws:region": "x", "celerylab:broker": "redis"}')
    assert pulumi_configuration() == {"module": "02", "broker": "redis"}


def test_a_number_has_bounds() -> None:
    workers = Setting(minimum=1, maximum=9, default=3)
    assert workers.parse("9") == 9
    for text in ("0", "10", "many", "2.5"):
        with pytest.raises(ValueError, match="write a whole number from 1 to 9"):
            workers.parse(text)


def test_a_default_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(ValueError, match="write one of a, b"):
        Setting(choices=["a", "b"], default="c")


@pytest.mark.parametrize("wanted", ["02", "2", "02-first-application"])
def test_a_module_is_found_by_number_or_name(root: Path, module_02: Path, wanted: str) -> None:
    assert module_folder(root, wanted) == module_02


@pytest.mark.parametrize("wanted", ["99", "02-frist-application", "", "x"])
def test_an_unknown_module_is_refused(root: Path, wanted: str) -> None:
    with pytest.raises(InputError, match="there is no module"):
        module_folder(root, wanted)
