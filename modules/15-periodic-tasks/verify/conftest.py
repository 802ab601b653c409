"""What the checks of module 15 share."""

import pytest
from periodic import Beats, ScheduleApi

from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack


@pytest.fixture
def beats(stack: Stack, hosts: dict[str, ObservedHost], ledger: LedgerReader) -> Beats:
    """The hosts with beat, and what they have sent."""
    return Beats([hosts[name] for name in sorted(stack.hosts) if stack.hosts[name]["group"] == "beat"], ledger)


@pytest.fixture
def api(stack: Stack) -> ScheduleApi:
    """The schedule API, with its token."""
    return ScheduleApi(f"http://{stack.endpoint('api')}", stack.secrets["api_token"])
