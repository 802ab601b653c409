"""What every plan of a module's stack is made of, whatever its substrate."""

from dataclasses import dataclass
from pathlib import Path

from celerylab.topology.environment import Environment, Needs, Service, Services
from celerylab.topology.lab import Lab
from celerylab.topology.module import CourseModule
from celerylab.topology.roles import Roles
from celerylab.topology.settings import StackSettings


@dataclass(frozen=True)
class ModulePlan:
    """Module, rung, services, settings and lab of one stack."""

    root: Path
    module: CourseModule
    environment: Environment
    services: Services
    settings: StackSettings
    lab: Lab
    roles: Roles

    @property
    def broker_name(self) -> str:
        """The chosen broker: the module's setting, or redis where the module leaves no choice."""
        return str(self.settings.values.get("broker", "redis"))

    @property
    def broker(self) -> Service:
        """The chosen broker's port, URLs and variables."""
        return self.services.named(self.broker_name)

    @property
    def needs(self) -> Needs:
        """What the stack takes of the machine or the cluster: the module says it, because it knows what it adds."""
        return self.module.needs

    @property
    def title(self) -> str:
        """What it is, in a sentence."""
        return f"module {self.module.id}"

    @property
    def bake_command(self) -> str:
        """The command that makes its images."""
        return f"celerylab images bake {self.module.id}"
