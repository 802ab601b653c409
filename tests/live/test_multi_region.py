"""The multi-region rung: two sites that work by themselves, and meet on the link alone, which can be slowed and cut."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celerylab.bench.rung import module_on
from celerylab.link.state import link_state
from celerylab.providers.engine import engine, left_behind
from celerylab.topology.lab import overlay
from celerylab.topology.names import label
from celerylab.verify.expect import NotObservedError, wait_for
from celerylab.verify.site_faults import sites_cut, sites_half_open, sites_slow
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient
from tests.live.conftest import LiveStack, copy_checkout, run

LINK_SECONDS = 0.04  # one way, the rung's default
# Who is there, at an address and a port: the seconds that a connection took, or the name of the error.
REACH = """
import socket, sys, time
began = time.monotonic()
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()
    print(time.monotonic() - began)
except OSError as error:
    print(type(error).__name__)
"""
# Sends a task to another site's broker, as the application of this site would.
SEND_ELSEWHERE = """
import json, os, sys
from celery import Celery
site = json.loads(os.environ["LAB_SITES"])[sys.argv[1]]
app = Celery(broker=site["broker_url"], backend=site["result_url"])
print(app.send_task("celerylab_probe.echo", [os.environ["LAB_SITE"]]).get(timeout=30))
"""


@pytest.fixture(scope="module")
def live(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Module 02's application on two sites."""
    checkout = copy_checkout(root, tmp_path_factory.mktemp("regions") / "checkout")
    folder = module_on(checkout, checkout, "multi-region", {})
    overlay(folder / "solution", folder / "starter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERYLAB_PROJECT", str(checkout))
        deployed = LiveStack(folder)
        try:
            deployed.up("starter", broker="rabbitmq")
            yield deployed
        finally:
            deployed.remove()
    assert left_behind(deployed.instance) == []


@pytest.fixture(scope="module")
def stack(live: LiveStack) -> Stack:
    return Stack(live.name, live.outputs())


@pytest.fixture
def worker(stack: Stack) -> Iterator[Callable[[str], WorkerClient]]:
    """A client of the worker of a site."""
    made: list[WorkerClient] = []

    def client(site: str) -> WorkerClient:
        made.append(WorkerClient(stack.at_site(site)))
        return made[-1]

    yield client
    for found in made:
        found.close()


def reach(live: LiveStack, site: str, address: str, port: int = 5672, seconds: float = 2) -> str:
    """How a host of `site` reaches an address."""
    return live.on_host("python3", "-c", REACH, address, str(port), str(seconds), host=f"{site}-worker-1").strip()


def test_each_site_works_by_itself(stack: Stack, worker: Callable[[str], WorkerClient]) -> None:
    assert stack.sites == ["eu", "us"]
    for site in stack.sites:
        client = worker(site)
        assert client.outcome(client.send("celerylab_probe.echo", site), 60).result == site
        assert [name.partition("@")[2] for name in client.names()] == [f"{site}-worker-1"]


def test_a_site_reaches_another_through_the_link_alone_and_that_takes_its_time(live: LiveStack, stack: Stack) -> None:
    before = link_state(stack.link)["eu>us"]["packets"]
    assert float(reach(live, "eu", "us-broker-1")) >= 2 * LINK_SECONDS
    assert link_state(stack.link)["eu>us"]["packets"] > before
    assert float(reach(live, "eu", "eu-broker-1")) < 2 * LINK_SECONDS
    assert reach(live, "eu", stack.hosts["us-broker-1"]["address"]) in ("TimeoutError", "OSError")  # the address that it has at home
    script = f"set -a; . /etc/celery/celery.env; cd /opt/celery/current; exec /opt/celery/venv/bin/python -c '{SEND_ELSEWHERE}' us"
    assert live.on_host("sh", "-c", script, host="eu-worker-1").strip() == "eu"


def test_both_sites_work_while_the_link_is_cut_and_meet_again_afterwards(
    live: LiveStack, stack: Stack, worker: Callable[[str], WorkerClient]
) -> None:
    with sites_cut(stack, "eu", "us"):
        assert "eu>us  cut: every packet is lost" in live.celerylab("status").stdout
        assert [reach(live, one, f"{other}-broker-1") for one, other in (("eu", "us"), ("us", "eu"))] == ["TimeoutError"] * 2
        for site in stack.sites:
            client = worker(site)
            assert client.outcome(client.send("celerylab_probe.echo", "alone"), 60).result == "alone"
        with pytest.raises(NotObservedError, match="another fault is at work on eu>us"), sites_half_open(stack, "eu", "us"):
            pass
    assert float(reach(live, "eu", "us-broker-1")) >= 2 * LINK_SECONDS


def test_one_direction_alone_can_be_lost_and_both_can_be_slow(live: LiveStack, stack: Stack) -> None:
    with sites_half_open(stack, "us", "eu"):
        assert [link_state(stack.link)[way]["lost"] for way in ("us>eu", "eu>us")] == [True, False]
        before = link_state(stack.link)["eu>us"]["packets"]
        assert reach(live, "eu", "us-broker-1") == "TimeoutError"
        assert link_state(stack.link)["eu>us"]["packets"] > before  # what it said went there, and no answer came
    with sites_slow(stack, "eu", "us", 0.3, bits=8e6):
        assert "us>eu  300 ms, 8 Mbit/s" in live.celerylab("status").stdout
        assert float(reach(live, "eu", "us-broker-1")) >= 0.6
    assert not any(way["lost"] for way in link_state(stack.link).values())


def test_a_host_that_has_another_hardware_address_is_found_again(live: LiveStack, stack: Stack) -> None:
    """As one that was made anew."""
    host = live.container("us-data-1")
    device = live.on_host(
        "sh", "-c", f"ip -o address | grep {stack.hosts['us-data-1']['address']}/ | cut -d' ' -f2", host="us-data-1"
    ).strip()
    change = f"ip link set dev {device} address 02:00:00:00:07:07"
    assert float(reach(live, "eu", "us-data-1", 6379)) >= 2 * LINK_SECONDS
    beside = {"network_mode": f"container:{host.name}", "cap_add": ["NET_ADMIN"], "labels": {label("kind"): "fault"}, "remove": True}
    engine().containers.run(host.image.id, ["-c", change], entrypoint="sh", **beside)
    wait_for(lambda: "Error" not in reach(live, "eu", "us-data-1", 6379), 30, expected="a way to the host")


def test_a_fault_ends_with_whoever_holds_it(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"link": stack.link}), encoding="utf-8")
    program = """
        import json, sys, time
        from celerylab.verify.site_faults import sites_cut
        from celerylab.verify.stack import Stack
        with sites_cut(Stack("x", json.load(open(sys.argv[1]))), "eu", "us"):
            print("cut", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "stack.json")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "cut\n"
    assert link_state(stack.link)["eu>us"]["lost"] is True
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    wait_for(lambda: not link_state(stack.link)["eu>us"]["lost"], 15, expected="a link as it was")


def test_a_second_up_changes_nothing_and_a_third_site_makes_no_host_of_another_anew(live: LiveStack, stack: Stack) -> None:
    def changes(*options: str) -> dict[str, int]:
        said = live.pulumi("preview", "--json", *options).stdout
        return {key: count for key, count in json.loads(said)["changeSummary"].items() if count}

    assert set(changes()) == {"same"}
    live.pulumi("config", "set", "celerylab:sites", "3")
    try:
        third = changes()
    finally:
        live.pulumi("config", "rm", "celerylab:sites")
    # Ledger, link and gateway are on the networks of every site. Each host of the two sites learns where the third one is, and none is made anew.
    assert third.get("replace") == 3
    assert third.get("update") == len(stack.hosts)


# What runs when its host loses power is lost, because module 02 acknowledges early; and what was accepted and not heard of is sent twice.
@pytest.mark.parametrize(("name", "most"), [("site-loss", 1), ("link-cut", 0)])
def test_a_drill_measures_how_a_disaster_was_survived(live: LiveStack, tmp_path: Path, name: str, most: int) -> None:
    drill = ["--site", "us", "--seconds", "8", "--rto", "30", "--rpo", str(most), "--report", str(tmp_path), "--stack", live.name, "--json"]
    report = json.loads(run(["celerylab", "drill", name, live.folder.name[:2], *drill], live.folder).stdout)
    assert report["missed"] == []
    assert report["lost"] <= most
    assert report["doubled"] <= most
    # Who has lost its site goes to the other one's broker; who has lost the link alone need not.
    assert (report["applications"]["us"]["elsewhere"] > 0) == (name == "site-loss")
    assert report["applications"]["eu"]["elsewhere"] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.md", "timeline.csv", "timeline.svg"}


def test_a_drill_that_cannot_be_is_refused_before_anything_happens(live: LiveStack, says: Callable[..., str]) -> None:
    says(
        run(["celerylab", "drill", "site-loss", "99", "--site", "ap", "--stack", live.name], live.folder, check=False),
        "there is no site ap",
    )
    says(run(["celerylab", "drill", "flood", "99", "--stack", live.name], live.folder, check=False), "there is no drill flood")


def test_down_gives_a_receipt(live: LiveStack) -> None:
    assert "left behind: 0" in live.celerylab("down").stdout
