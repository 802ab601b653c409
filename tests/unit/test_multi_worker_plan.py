"""The multi-worker rung as a plan: tiers, counts from settings, variables of a group, and what is refused."""

import shutil
from pathlib import Path

import pytest
import yaml

from celerylab.errors import InputError
from celerylab.topology.plan import Plan, make_plan
from tests.unit.rungs import project_on

RUNG = "environments/multi-worker.yaml"
LOGIN = "celery:{{ celerylab_secrets.broker_password }}"


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with module 02's application on this rung, as module 99."""
    return project_on("multi-worker", root, tmp_path, monkeypatch)


def edit(project: Path, **values: object) -> None:
    """Changes keys of the module."""
    path = project / "modules" / "99-rung" / "module.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def planned(project: Path, **configuration: str) -> Plan:
    return make_plan(project, "99", {"lab": "solution", **configuration})


def fingerprints(plan: Plan) -> dict[tuple[str, str], str]:
    return {(host.name, role.name): role.fingerprint for host in plan.hosts for role in host.roles}


def test_messages_and_results_are_on_hosts_of_their_own(project: Path) -> None:
    plan = planned(project)
    assert plan.broker_host("") == "broker-1"
    results = {"result_url": f"redis://{LOGIN}@data-1:6379/1"}
    assert plan.broker_facts("") == {"name": "redis", "broker_url": f"redis://{LOGIN}@broker-1:6379/0", **results}
    facts = planned(project, broker="rabbitmq").broker_facts("")
    assert facts == {"name": "rabbitmq", "broker_url": f"amqp://{LOGIN}@broker-1:5672//", **results}


@pytest.mark.parametrize(("broker", "queues"), [("redis", ["celery"]), ("rabbitmq", [])])
def test_the_exporter_reads_lengths_of_a_redis_broker_alone(project: Path, broker: str, queues: list[str]) -> None:
    [exporter] = [role for host in planned(project, broker=broker).hosts for role in host.roles if role.name == "celery_exporter"]
    assert exporter.variables["celery_exporter_queues"] == queues


def test_a_variable_of_a_group_is_for_its_hosts_alone(project: Path) -> None:
    files = {
        host.name: role.variables["redis_config_file"] for host in planned(project).hosts for role in host.roles if role.name == "redis"
    }
    assert files["broker-1"].endswith("/redis/redis.conf")
    assert files["data-1"].endswith("/results/redis.conf")


def test_one_worker_more_moves_no_host_and_changes_prometheus_alone(project: Path) -> None:
    before, after = planned(project), planned(project, workers="4")
    assert {name: after.host_names[name] for name in before.host_names} == before.host_names
    old, new = fingerprints(before), fingerprints(after)
    assert {key for key in old if old[key] != new[key]} == {("monitor-1", "prometheus")}
    assert {host for host, _ in new.keys() - old.keys()} == {"worker-4"}


def test_two_groups_that_settings_count_do_not_meet(project: Path) -> None:
    group = {"count": "{workers}", "size": "small", "roles": ["base"]}
    edit(project, groups={"other": group})
    few, many = planned(project, workers="1"), planned(project, workers="9")
    assert few.host_names["other-1"] == many.host_names["other-1"]
    assert len(set(many.host_names.values())) == len(many.host_names)


def test_a_module_leaves_out_what_it_does_not_need(project: Path) -> None:
    edit(project, without=["beat", "monitor"])
    plan = planned(project)
    assert {host.group for host in plan.hosts} == {"broker", "data", "worker"}
    assert set(plan.endpoints) == {"broker", "results", "database"}


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"workers": "0"}, "celerylab:workers is '0': write a whole number from 1 to 16"),
        ({"workers": "many"}, "write a whole number from 1 to 16"),
        ({"drain_seconds": "-1"}, "write a whole number from 0 to 3600"),
    ],
)
def test_a_number_that_cannot_be_is_refused(project: Path, configuration: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        planned(project, **configuration)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"without": ["beet"]}, "beet is no group of multi-worker (did you mean beat?)"),
        ({"groups": {"worker": {"count": "{many}", "size": "small", "roles": ["base"]}}}, "{many} is no setting; write a number"),
        ({"groups": {"worker": {"count": 0, "size": "small", "roles": ["base"]}}}, "module.yaml:"),
        ({"groups": {"worker": {"count": 1, "size": "huge", "roles": ["base"]}}}, "huge is none of small"),
        (
            {"groups": {"worker": {"size": "small", "roles": ["base"], "vars": {"redis_port": 1}}}},
            "redis_port: no role of this environment has such a variable",
        ),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_its_line(project: Path, values: dict[str, object], message: str) -> None:
    edit(project, **values)
    with pytest.raises(InputError) as refusal:
        planned(project)
    assert message in str(refusal.value)
    assert "module.yaml:" in str(refusal.value)


def test_two_pools_of_one_name_are_refused(project: Path) -> None:
    path = project / RUNG
    path.write_text(path.read_text(encoding="utf-8").replace("  beat: {", "  worker: {"), encoding="utf-8")
    with pytest.raises(InputError, match="worker is written twice; keep one"):
        planned(project)


def test_a_queue_that_nobody_consumes_is_refused(project: Path) -> None:
    pools = {"celery_worker_instances": {"fast": {"queues": ["fast"]}, "slow": {"queues": ["slow", "slower"]}}}
    edit(project, vars={**pools, "celery_exporter_queues": ["fast", "slow"]})
    planned(project)
    edit(project, vars={**pools, "celery_exporter_queues": ["fst"]})
    with pytest.raises(InputError, match=r"nobody consumes queue fst .*did you mean fast\?.*the pools take fast, slow, slower"):
        planned(project)
    edit(project, vars={"celery_worker_instances": {"any": {}}, "celery_exporter_queues": ["fst"]})
    planned(project)


# What the rung itself says otherwise, because its hosts are others: where Redis' file is for a data host, and what beat and the database add.
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_the_settings_of_a_module_02_stack_carry_to_this_rung(project: Path, root: Path, tmp_path: Path, broker: str) -> None:
    lab = tmp_path / "mine"
    shutil.copytree(project / "modules" / "99-rung" / "starter", lab)
    settings = {"lab": str(lab), "hours": "24", "owner": "ada", "ports": "broker=16379,ledger=18400", "broker": broker}
    before, after = make_plan(root, "02", settings), make_plan(project, "99", settings)
    old, new = before.settings, after.settings
    assert (new.lab, new.hours, new.owner, new.ports) == (old.lab, old.hours, old.owner, old.ports)
    assert {name: new.values[name] for name in old.values} == old.values
    assert (after.broker, after.lab.digest) == (before.broker, before.lab.digest)
    assert after.broker_facts("")["broker_url"] == before.broker_facts("")["broker_url"].replace("node-1", "broker-1")
    assert {name: after.endpoint_port(name) for name in before.endpoints} == {name: before.endpoint_port(name) for name in before.endpoints}
    (node,) = before.hosts
    for role in node.roles:
        group = "broker-1" if role.name == before.broker.role else "worker-1"
        (same,) = [found for host in after.hosts if host.name == group for found in host.roles if found.name == role.name]
        for name in (
            role.variables.keys() - before.environment.vars.keys()
        ):  # what a rung says of its own workers is not a learner's setting
            value, mine = role.variables[name], same.variables[name]
            assert (mine | value if isinstance(value, dict) else value) == mine, f"{role.name}: {name}"
