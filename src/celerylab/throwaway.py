"""A stack that nobody keeps: made for one verification, and gone afterwards whatever happens in between."""

import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from celerylab.clusters.access import remove_from_cluster
from celerylab.errors import CelerylabError
from celerylab.providers.engine import left_behind, remove_instance
from celerylab.pulumi_stack import PulumiStack
from celerylab.verify.stack import Stack


class ThrowawayStack:
    """A fresh stack of the module in `folder`. `seconds` says how long `up` and `down` took."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.target = PulumiStack(folder, f"{prefix}-{uuid.uuid4().hex[:6]}")
        self.seconds: dict[str, float] = {}

    def up(self, configuration: Mapping[str, str | int]) -> Stack:
        """Deploys with `configuration` (names without namespace). Raises CelerylabError; `down` is to be called then as well."""
        began = time.monotonic()
        self.target.ensure()
        self.target.configure({key: str(value) for key, value in configuration.items()})
        self.target.run("up", "--yes", "--skip-preview", quiet=True)
        under_test = Stack.deployed(self.target)
        self.seconds["up"] = time.monotonic() - began
        return under_test

    def down(self) -> list[str]:
        """Destroys and forgets the stack, by label where Pulumi cannot.

        Returns why Pulumi could not, and what Docker or its cluster still had after its receipt.
        """
        began = time.monotonic()
        instance = self.target.instance.id
        try:
            if self.target.exists():
                self.target.destroy(quiet=True)
            rest = left_behind(instance)
        except CelerylabError as error:
            rest = [re.sub(r"\s+", " ", str(error)), *left_behind(instance), *remove_from_cluster(self.target)]
        remove_instance(instance)
        if self.target.exists():
            self.target.run("stack", "rm", "--yes", "--force", quiet=True)
        self.seconds["down"] = time.monotonic() - began
        return rest
