"""Models of `environments/*.yaml`: a rung's hosts, networks and services, as data."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from celerylab.topology.source import Model
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


class Network(Model):
    """A network of the lab. `egress` is always false: hosts are baked and need nothing from outside."""

    egress: Literal[False] = False


class Group(Model):
    """`count` equal hosts, named `<group>-1` and on. `{broker}` among the roles stands for the chosen broker's role."""

    count: Annotated[int, Field(ge=1, le=99)] = 1
    size: str
    roles: Annotated[list[str], Field(min_length=1)]


class Endpoint(Model):
    """A port of a group's first host that the gateway publishes on 127.0.0.1. `{broker_port}` and `{broker_tls_port}` stand for the chosen
    broker's. `network` is the one it dials the host on: no rule of a learner's reaches `observe`."""

    group: str
    port: int | Literal["{broker_port}", "{broker_tls_port}"]
    network: str = "lab"
    scheme: str = ""


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
    """One rung, as `environments/<name>.yaml` says it."""

    name: Name
    path: Path
    summary: str
    needs: Needs
    networks: dict[Name, Network]
    sizes: dict[str, Size]
    groups: dict[Name, Group]
    endpoints: dict[Name, Endpoint] = {}
    secrets: list[str] = []
    vars: dict[str, Any] = {}

    @model_validator(mode="after")
    def _names_agree(self) -> "Environment":
        for name, group in self.groups.items():
            if group.size not in self.sizes:
                raise ValueError(f"group {name} has size {group.size}, which is none of {', '.join(self.sizes)}")
        for name, endpoint in self.endpoints.items():
            if endpoint.group not in self.groups:
                raise ValueError(f"endpoint {name} is on group {endpoint.group}, which is none of {', '.join(self.groups)}")
            if endpoint.network not in self.networks:
                raise ValueError(f"endpoint {name} is on network {endpoint.network}, which is none of {', '.join(self.networks)}")
        if not {"lab", "observe"} <= set(self.networks):
            raise ValueError("networks must hold lab and observe")
        return self


class Services(Model):
    """environments/services.yaml: brokers by name."""

    redis: Service
    rabbitmq: Service

    def named(self, name: str) -> Service:
        """The service called `name`; the caller has checked that it exists."""
        service: Service = getattr(self, name)
        return service
