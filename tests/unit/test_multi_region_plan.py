"""The multi-region rung as a plan: what each site has, how one finds another, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from celerylab.errors import InputError
from celerylab.topology.plan import Plan, make_plan
from celerylab.verify.expect import NotObservedError
from celerylab.verify.stack import Stack
from tests.unit.rungs import project_on

LOGIN = "celery:{{ celerylab_secrets.broker_password }}"


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with module 02's application on this rung, as module 99."""
    return project_on("multi-region", root, tmp_path, monkeypatch)


def planned(project: Path, **configuration: str) -> Plan:
    return make_plan(project, "99", {"lab": "solution", **configuration})


def edit(project: Path, **values: Any) -> None:
    """Changes keys of the rung."""
    path = project / "environments" / "multi-region.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_each_site_has_every_group_and_networks_of_its_own(project: Path) -> None:
    plan = planned(project)
    names = ["broker-1", "data-1", "worker-1"]
    assert sorted(host.name for host in plan.hosts) == sorted(f"{site}-{name}" for site in ("eu", "us") for name in names)
    assert {host.site for host in plan.hosts if host.name.startswith("us-")} == {"us"}
    assert plan.networks == ("eu-lab", "eu-observe", "us-lab", "us-observe")
    assert (plan.endpoints["us-results"].group, plan.endpoints["us-results"].network) == ("us-data", "us-lab")


def test_a_worker_uses_the_broker_of_its_site_and_knows_every_other(project: Path) -> None:
    facts = planned(project, broker="rabbitmq").site_facts("us")
    assert facts["broker"]["broker_url"] == f"amqp://{LOGIN}@us-broker-1:5672//"
    assert facts["broker"]["result_url"] == f"redis://{LOGIN}@us-data-1:6379/1"
    assert facts["site"] == {"name": "us", "residency": ["us"], "others": ["eu"]}
    assert facts["sites"]["eu"]["broker_url"] == f"amqp://{LOGIN}@eu-broker-1:5672//"


def test_no_two_hosts_have_one_position_and_another_site_or_worker_moves_none(project: Path) -> None:
    smallest, usual = planned(project, sites="1"), planned(project)
    largest = planned(project, sites="3", workers="8")
    assert len(set(largest.host_names.values())) == len(largest.hosts) == 30
    for plan in (smallest, usual):
        assert {name: largest.host_names[name] for name in plan.host_names} == plan.host_names


def test_a_site_knows_what_another_offers_and_not_its_workers(project: Path) -> None:
    plan = planned(project)
    assert plan.elsewhere("eu") == {name: plan.host_names[name] for name in ("us-broker-1", "us-data-1")}
    one_more = planned(project, workers="2")
    base = {host.name: host.roles[0].fingerprint for host in plan.hosts}
    assert {host.name: host.roles[0].fingerprint for host in one_more.hosts if host.name in base} == base


def test_one_site_is_complete(project: Path) -> None:
    plan = planned(project, sites="1")
    assert list(plan.sites) == ["eu"]
    assert plan.site_facts("eu")["site"]["others"] == []


def test_an_edit_of_one_site_s_hosts_is_none_of_the_others(project: Path) -> None:
    def fingerprints(plan: Plan) -> dict[tuple[str, str], str]:
        return {(host.name, role.name): role.fingerprint for host in plan.hosts for role in host.roles}

    before, after = fingerprints(planned(project)), fingerprints(planned(project, broker="rabbitmq"))
    assert before["eu-data-1", "redis"] == after["eu-data-1", "redis"]
    assert before["eu-worker-1", "celery_app"] != after["eu-worker-1", "celery_app"]
    assert before["eu-worker-1", "celery_app"] != before["us-worker-1", "celery_app"]  # another broker


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sites": [{"name": "eu"}, {"name": "eu"}, {"name": "ap"}]}, "site eu is written twice"),
        ({"sites": [{"name": "eu"}]}, "the setting sites goes from 1 to 1"),
        ({"sites": [{"name": "Frankfurt am Main"}]}, "sites.0.name"),
        (
            {"settings": {"workers": {"minimum": 1, "maximum": 8, "default": 1}}},
            "a rung with sites has the settings sites and link_milliseconds",
        ),
    ],
)
def test_sites_that_cannot_be_are_refused(project: Path, values: dict[str, Any], said: str) -> None:
    edit(project, **values)
    with pytest.raises(InputError, match=r"multi-region\.yaml") as refused:
        planned(project)
    assert said in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [("sites", "0"), ("sites", "4"), ("link_milliseconds", "-1")])
def test_a_setting_that_cannot_be_is_refused(project: Path, name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"celerylab:{name}"):
        planned(project, **{name: value})


def test_a_suite_sees_one_site_as_a_stack_of_its_own() -> None:
    hosts = {f"{site}-worker-1": {"site": site} for site in ("eu", "us")}
    endpoints = {"eu-broker": "127.0.0.1:1", "us-broker": "127.0.0.1:2", "ledger": "127.0.0.1:3"}
    stack = Stack("me", {"hosts": hosts, "endpoints": endpoints})
    assert stack.sites == ["eu", "us"]
    near = stack.at_site("us")
    assert near.outputs == {"hosts": {"us-worker-1": {"site": "us"}}, "endpoints": {"broker": "127.0.0.1:2", "ledger": "127.0.0.1:3"}}
    with pytest.raises(NotObservedError, match="no site ap; it has eu, us"):
        stack.at_site("ap")
