"""The drills by name: what happens to the stack, and for how long."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from celerylab.errors import InputError
from celerylab.topology.names import at_site
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
def _hosts_lost(stack: Stack, names: list[str]) -> Iterator[None]:
    """Hosts lose their power."""
    with ExitStack() as back:
        for name in names:
            back.enter_context(host_killed(ObservedHost(name, stack.hosts[name]["container"])))
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
    "site-loss": Drill("every host of a site loses its power", lambda stack, site: _hosts_lost(stack, list(stack.at_site(site).hosts))),
    "broker-loss": Drill(
        "the host of a site's broker loses its power", lambda stack, site: _hosts_lost(stack, [f"{at_site(site, 'broker')}-1"])
    ),
    "link-cut": Drill("no packet passes between a site and the others", _link_cut),
}


def drill_of(name: str) -> Drill:
    """The drill called `name`. Raises InputError naming those that exist."""
    if name not in DRILLS:
        raise InputError(f"there is no drill {name}{suggestion(name, list(DRILLS))}; there are {', '.join(DRILLS)}")
    return DRILLS[name]
