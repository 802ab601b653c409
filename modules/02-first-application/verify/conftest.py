"""What the checks of module 02 share."""

import pytest

from celerylab.verify.hosts import ObservedHost


@pytest.fixture
def node(hosts: dict[str, ObservedHost]) -> ObservedHost:
    """The one host of the module: broker, results and worker."""
    return hosts["node-1"]
