"""Models of `environments/*.yaml`: a rung's hosts, networks and services, as data."""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from celerylab.errors import InputError
from celerylab.topology.source import Model, Source, read_yaml, suggestion, validate
from celerylab.topology.units import Bytes

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=24)]
Path = Literal["foundations", "intermediate", "advanced", "production"]


class Needs(Model):
    """What an environment takes of the machine, in bytes: memory at work, disk beyond the images, download for a first image."""

    memory: Bytes
    disk: Bytes
    download: Bytes = 0


class Size(Model):
    """Limits of one host: processors (fractions allowed) and memory in bytes."""

    cpus: Annotated[float, Field(gt=0)]
    memory: Bytes


class Setting(Model):
    """What `pulumi config set celerylab:<name>` may say: one of `choices`, a text that `pattern` matches as a whole, or a whole number between
    `minimum` and `maximum`."""

    choices: list[str] = []
    pattern: str = ""
    minimum: int | None = None
    maximum: int | None = None
    default: str | int
    description: str = ""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> "Setting":
        self.parse(str(self.default))
        return self

    def parse(self, text: str) -> str | int:
        """`text` as this setting's value. Raises ValueError that says what is allowed."""
        if self.choices:
            if text not in self.choices:
                raise ValueError(f"write one of {', '.join(self.choices)}{suggestion(text, self.choices)}")
            return text
        if self.pattern:
            if re.fullmatch(self.pattern, text) is None:
                raise ValueError(f"write a text that matches {self.pattern}")
            return text
        low, high = self.minimum, self.maximum
        if not text.lstrip("-").isdigit() or (low is not None and int(text) < low) or (high is not None and int(text) > high):
            raise ValueError(f"write a whole number from {low} to {high}")
        return int(text)


class Network(Model):
    """A network of the lab. `egress` is always false: hosts are baked and need nothing from outside."""

    egress: Literal[False] = False


class Group(Model):
    """`count` equal hosts, named `<group>-1` and on; `{workers}` takes the number from the setting `workers`. `{broker}` among the roles stands
    for the chosen broker's role. `vars` are for these hosts alone, over those of the rung and the module."""

    count: Annotated[int, Field(ge=1, le=99)] | Annotated[str, Field(pattern=r"^\{[a-z_]+\}$")] = 1
    size: str
    roles: Annotated[list[str], Field(min_length=1)]
    vars: dict[str, Any] = {}

    @property
    def counted_by(self) -> str | None:
        """Name of the setting that says how many hosts it has; None where the number is written."""
        return self.count.strip("{}") if isinstance(self.count, str) else None

    def hosts(self, settings: Mapping[str, str | int]) -> int:
        """How many hosts it has under a stack's `settings`."""
        return int(settings[self.counted_by] if self.counted_by else self.count)


class Endpoint(Model):
    """A port of a group's first host that the gateway publishes on 127.0.0.1. `{broker_port}` and `{broker_tls_port}` stand for the chosen
    broker's. `network` is the one it dials the host on: no rule of a learner's reaches `observe`."""

    group: str
    port: int | Literal["{broker_port}", "{broker_tls_port}"]
    network: str = "lab"
    scheme: str = ""


class Site(Model):
    """A place that has every group of the rung, and networks of its own. `residency` are the tags of data that may be there."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,7}$")]
    residency: list[str] = []


class ResultStore(Model):
    """Where results are kept, if not where the broker is: the `service` on the first host of `group`, behind the endpoint `results`."""

    service: Literal["redis", "rabbitmq"]
    group: str


class Service(Model):
    """A broker that a stack can choose; see environments/services.yaml."""

    role: str
    unit: str
    port: int
    tls_port: int
    broker_url: str
    result_url: str
    vars: dict[str, Any]
    secrets: list[str] = []


class Environment(Model):
    """One rung, as `environments/<name>.yaml` says it.

    Its `substrate` is what a stack stands on: hosts of its own, or a Kubernetes cluster that stacks share. `chart` are values of
    manifests/charts/celery for a stack on a cluster, under those of the module and the lab. Where it has `sites`, a stack has the first of them, as
    many as its setting `sites` says, each with all groups, networks and endpoints; they meet through a link on which a packet takes
    `link_milliseconds`.
    """

    name: Name
    path: Path
    summary: str
    needs: Needs
    substrate: Literal["hosts", "kubernetes"] = "hosts"
    networks: dict[Name, Network] = {}
    sites: list[Site] = []
    sizes: dict[str, Size] = {}
    groups: dict[Name, Group] = {}
    chart: dict[str, Any] = {}
    endpoints: dict[Name, Endpoint] = {}
    results: ResultStore | None = None
    settings: dict[str, Setting] = {}
    secrets: list[str] = []
    vars: dict[str, Any] = {}

    @model_validator(mode="after")
    def _names_agree(self) -> "Environment":
        for name, group in self.groups.items():
            if group.size not in self.sizes:
                raise ValueError(f"group {name} has size {group.size}, which is none of {', '.join(self.sizes)}")
            if group.counted_by and group.counted_by not in self.settings:
                raise ValueError(f"group {name} counts {group.count}, which is no setting of the rung")
        for name, endpoint in self.endpoints.items():
            if endpoint.group not in self.groups:
                raise ValueError(f"endpoint {name} is on group {endpoint.group}, which is none of {', '.join(self.groups)}")
            if endpoint.network not in self.networks:
                raise ValueError(f"endpoint {name} is on network {endpoint.network}, which is none of {', '.join(self.networks)}")
        if self.results and (self.results.group not in self.groups or "results" not in self.endpoints):
            raise ValueError(f"results are on group {self.results.group}, so there must be such a group and an endpoint called results")
        names = [site.name for site in self.sites]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"site {twice[0]} is written twice; give each site a name of its own")
        if self.sites and not {"sites", "link_milliseconds"} <= set(self.settings):
            raise ValueError("a rung with sites has the settings sites and link_milliseconds")
        if self.sites and (self.settings["sites"].minimum, self.settings["sites"].maximum) != (1, len(self.sites)):
            raise ValueError(f"the setting sites goes from 1 to {len(self.sites)}, because there are so many sites")
        if self.substrate == "kubernetes":
            if self.groups or self.networks or self.endpoints:
                raise ValueError("a rung on Kubernetes has no groups, networks and endpoints: write what it runs into chart")
        elif "lab" not in self.networks:
            raise ValueError("networks must hold lab")
        return self


def load_environment(root: FilePath, name: str, said_in: str) -> tuple[Environment, Source]:
    """The rung called `name`, and its file for complaints; `said_in` names the file that wants it.

    Raises InputError for one that does not exist, and naming file and line for one that is wrong.
    """
    file = root / "environments" / f"{name}.yaml"
    if not file.is_file():
        raise InputError(f"{said_in}: there is no environments/{name}.yaml")
    source = read_yaml(file)
    return validate(source, Environment), source


class Services(Model):
    """environments/services.yaml: brokers by name."""

    redis: Service
    rabbitmq: Service

    def named(self, name: str) -> Service:
        """The service called `name`; the caller has checked that it exists."""
        service: Service = getattr(self, name)
        return service
