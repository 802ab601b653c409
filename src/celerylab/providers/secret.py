"""A random secret, generated once per stack and never in the state in clear."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from pulumi import Output, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

ALPHABET = string.ascii_letters + string.digits
LENGTH = 32  # 190 bits


class SecretProvider(ResourceProvider):
    """Inputs: `name`, `rotation` (any text; a new one makes a new value). Outputs: those and `value`, a secret."""

    def create(self, props: Mapping[str, Any]) -> CreateResult:
        """Letters and digits only, so that the value fits into a URL, a unit file and a shell word as it is."""
        value = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        return CreateResult(secrets.token_hex(8), {**props, "value": value})

    def diff(self, _id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
        """Only another rotation, or another purpose, replaces it."""
        changed = [key for key in ("name", "rotation") if old.get(key) != new.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed)

    def delete(self, _id: str, _props: Mapping[str, Any]) -> None:
        """Nothing to do: it lives in the state alone."""


class Secret(Resource, module="celerylab", name="Secret"):
    """`value` is a secret output of 190 random bits; `name` says what it is for, such as `broker_password`."""

    value: Output[str]

    def __init__(self, resource: str, name: str, rotation: str = "", opts: ResourceOptions | None = None) -> None:
        opts = ResourceOptions.merge(opts, ResourceOptions(additional_secret_outputs=["value"]))
        super().__init__(SecretProvider(), resource, {"name": name, "rotation": rotation, "value": None}, opts)
