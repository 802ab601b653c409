"""Failures of the link between sites: context managers, undone on any exit, also when this process is killed. Each has a test that it bites."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celerylab.link.state import PROGRAM
from celerylab.verify.held import held
from celerylab.verify.stack import Stack


@contextmanager
def sites_cut(stack: Stack, one: str, other: str) -> Iterator[None]:
    """No packet passes between two sites inside the block, and neither is told."""
    with link_changed(stack, {f"{one}>{other}": {"lost": True}, f"{other}>{one}": {"lost": True}}):
        yield


@contextmanager
def sites_half_open(stack: Stack, sender: str, receiver: str) -> Iterator[None]:
    """What `sender` sends to `receiver` is lost inside the block, and what comes back arrives."""
    with link_changed(stack, {f"{sender}>{receiver}": {"lost": True}}):
        yield


@contextmanager
def sites_slow(stack: Stack, one: str, other: str, seconds: float, bits: float = 0) -> Iterator[None]:
    """Each packet between two sites takes `seconds` inside the block, in either direction, and only so many `bits` pass in a second (0 for all)."""
    change = {"seconds": seconds, "bits": bits}
    with link_changed(stack, {f"{one}>{other}": change, f"{other}>{one}": change}):
        yield


@contextmanager
def link_changed(stack: Stack, changes: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """The link is as `changes` say, by direction, for as long as the block takes; src/celerylab/link/router.py says what they may be."""
    command = ["docker", "exec", "--interactive", stack.link, "python3", PROGRAM, "change", json.dumps(changes)]
    with held(command, "the link between the sites"):
        yield
