"""The drills by name: what happens to the stack, and for how long."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise

from celerylab.errors import InputError
from celerylab.topology.source import suggestion
from celerylab.verify.host_faults import host_killed
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.site_faults import sites_cut
from celerylab.verify.stack import Stack


@dataclass(frozen=True)
class Drill:
    """`fault` is a context manager over a stack and the name of one of its sites; `says` what it does, for people."""

    says: str
    fault: Callable[[Stack, str], AbstractContextManager[None]]


@contextmanager
def _site_lost(stack: Stack, site: str) -> Iterator[None]:
    """Every host of the site loses its power at once."""
    with ExitStack() as back:
        for name, host in stack.at_site(site).hosts.items():
            back.enter_context(host_killed(ObservedHost(name, host["container"])))
        yield


@contextmanager
def _broker_lost(stack: Stack, site: str) -> Iterator[None]:
    """The first host of the site's broker loses its power."""
    with ExitStack() as back:
        name, host = next((name, host) for name, host in stack.at_site(site).hosts.items() if host["group"] == f"{site}-broker")
        back.enter_context(host_killed(ObservedHost(name, host["container"])))
        yield


@contextmanager
def _link_cut(stack: Stack, site: str) -> Iterator[None]:
    """No packet passes between the site and any other."""
    with ExitStack() as back:
        for other in stack.sites:
            if other != site:
                back.enter_context(sites_cut(stack, site, other))
        yield


DRILLS = {
    "site-loss": Drill("every host of a site loses its power", _site_lost),
    "broker-loss": Drill("the host of a site's broker loses its power", _broker_lost),
    "link-cut": Drill("no packet passes between a site and the others", _link_cut),
}


def drill_of(name: str) -> Drill:
    """The drill called `name`. Raises InputError naming those that exist."""
    if name not in DRILLS:
        raise InputError(f"there is no drill {name}{suggestion(name, list(DRILLS))}; there are {', '.join(DRILLS)}")
    return DRILLS[name]


def longest_gap(moments: list[float], begin: float, end: float) -> float:
    """Longest time between two of `moments` (or one of the bounds) from `begin` to `end`, in seconds."""
    inside = [begin, *(moment for moment in sorted(moments) if begin < moment < end), end]
    return max(later - earlier for earlier, later in pairwise(inside))
