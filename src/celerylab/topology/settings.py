"""What `pulumi config set celerylab:…` may say, for the platform and for a module."""

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from celerylab.errors import InputError
from celerylab.topology.environment import Setting
from celerylab.topology.module import CourseModule
from celerylab.topology.source import suggestion

NAMESPACE = "celerylab"
PLATFORM = {
    "module": "which module this stack serves; its Pulumi.yaml says it",
    "lab": "folder to deploy instead of lab/: solution, starter, or a path",
    "hours": "how long the lease of the stack runs, from 1 to 720; 8 by default",
    "owner": "who the stack belongs to; the user's name by default",
    "ports": "fixed ports on 127.0.0.1, such as broker=16379,ledger=18400; free ones by default",
}
DEFAULT_HOURS = 8


@dataclass(frozen=True)
class StackSettings:
    """The stack's configuration, typed. `values` are the settings of the rung and the module, defaults filled in."""

    lab: str | None = None
    hours: int = DEFAULT_HOURS
    owner: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    values: dict[str, str | int] = field(default_factory=dict)


def pulumi_configuration() -> dict[str, str]:
    """The running program's stack configuration under our namespace, without the namespace."""
    everything: dict[str, str] = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    return {key.split(":", 1)[1]: value for key, value in everything.items() if key.startswith(f"{NAMESPACE}:")}


def stack_settings(module: CourseModule | None, configuration: Mapping[str, str], rung: Mapping[str, Setting]) -> StackSettings:
    """`configuration` (names without namespace) as typed settings; `rung` are those of the environment, which the module may replace. A cluster
    has no module.

    Raises InputError that says which command mends it.
    """
    settings = {**rung, **(module.settings if module else {})}
    who = f"module {module.id}" if module else "a cluster"
    known = {**PLATFORM, **settings}
    for name in configuration:
        if name not in known:
            raise InputError(
                f"celerylab:{name}: {who} has no such setting{suggestion(name, sorted(known))}; "
                f"take it away with `pulumi config rm celerylab:{name}`"
            )
    values: dict[str, str | int] = {}
    for name, setting in settings.items():
        try:
            values[name] = setting.parse(str(configuration.get(name, setting.default)))
        except ValueError as error:
            raise InputError(f"celerylab:{name} is {configuration[name]!r}: {error}; `pulumi config set celerylab:{name} …`") from None
    hours = configuration.get("hours", str(DEFAULT_HOURS))
    if not hours.isdigit() or not 1 <= int(hours) <= 720:
        raise InputError(f"celerylab:hours is {hours!r}: write a whole number from 1 to 720; `pulumi config set celerylab:hours …`")
    owner = configuration.get("owner") or getpass.getuser()
    return StackSettings(configuration.get("lab"), int(hours), owner, _ports(configuration.get("ports", "")), values)


def every_choice(module: CourseModule) -> list[dict[str, str | int]]:
    """The defaults (as nothing set), then every other value of each setting, one at a time; of a number, its bounds."""
    found: list[dict[str, str | int]] = [{}]
    for name, setting in module.settings.items():
        bounds = [value for value in (setting.minimum, setting.maximum) if value is not None]
        values: list[str | int] = [*setting.choices, *bounds]
        found += [{name: value} for value in values if value != setting.default]
    return found


def _ports(text: str) -> dict[str, int]:
    ports: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        if not number.isdigit() or not 1 <= int(number) <= 65535:
            raise InputError(f"celerylab:ports has {part!r}: write name=port with a port from 1 to 65535, such as broker=16379")
        ports[name.strip()] = int(number)
    return ports
