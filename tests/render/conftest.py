"""Runs a stack's program under Pulumi's mocks and hands back what it registered: exact types, names and inputs."""

import asyncio
import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc, stack


@dataclass(frozen=True)
class Registered:
    """One registration. `inputs` are plain values; secrets in clear."""

    type: str
    name: str
    inputs: dict[str, Any]


class _Recorder(mocks.Mocks):
    def __init__(self) -> None:
        self.registered: list[Registered] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        short = args.typ.split(":")[-1].split("/")[-1] if args.custom else args.typ
        self.registered.append(
            Registered(short, args.name, {key: _clear(value) for key, value in args.inputs.items() if key != "__provider"})
        )
        outputs = dict(args.inputs)
        if args.typ.endswith(":Network"):
            outputs["subnet"] = "10.213.0.0/25" if args.name.endswith("lab") else "10.213.1.0/25"
        if args.typ.endswith(":Secret"):
            outputs["value"] = f"secret-of-{args.name}"
        if args.typ.endswith(":Host"):
            outputs.update(generation="1", image_id="sha256:0")
        if args.typ.endswith(":Gateway"):
            outputs["ports"] = {name: 20000 + index for index, name in enumerate(sorted(args.inputs["targets"]))}
        if args.typ.endswith(":Lease"):
            outputs.update(expires="2026-11-22T18:00:00+00:00")
        return args.resource_id or f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"no program of ours calls a function of a provider: {args.token}")


Program = Callable[..., tuple[list[Registered], dict[str, Any]]]


@pytest.fixture
def program(root: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """`program("single-node", module="02", broker="redis")` returns the registrations in order, and the stack's exports."""

    def run(rung: str, **configuration: str) -> tuple[list[Registered], dict[str, Any]]:
        # Docker is our own edge here: whether the machine can bear the stack is asked of a real one in tests/live.
        monkeypatch.setattr("celerylab.components.lab.admit_plan", lambda _plan, _instance: None)
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps({f"celerylab:{key}": value for key, value in configuration.items()}))
        monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///state")
        recorder = _Recorder()
        exports: dict[str, Any] = {}
        monkeypatch.setattr(pulumi, "export", lambda name, value: exports.__setitem__(name, value))
        try:
            asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            asyncio.set_event_loop(asyncio.new_event_loop())
        mocks.set_mocks(recorder, project=f"celerylab-{configuration.get('module')}", stack="me")

        def body() -> None:
            runpy.run_path(str(root / "stacks" / rung / "__main__.py"), run_name="__program__")

        asyncio.get_event_loop().run_until_complete(stack.run_pulumi_func(body))
        resolved = {name: _resolve(value) for name, value in exports.items()}
        return recorder.registered, resolved

    return run


def _clear(value: Any) -> Any:
    """A secret's value as the engine would hand it to a provider that does not know secrets."""
    return value["value"] if isinstance(value, dict) and rpc._special_sig_key in value else value


def _resolve(value: Any) -> Any:
    loop = asyncio.get_event_loop()
    return loop.run_until_complete(pulumi.Output.from_input(value).future())
