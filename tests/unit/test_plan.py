"""From YAML and a lab to hosts, roles and hashes: a change touches exactly what it must."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from celerylab.errors import InputError
from celerylab.images.recipe import host_recipe, recipes
from celerylab.topology.plan import Plan, make_plan


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project that a test may spoil."""
    for room in ("environments", "modules", "roles"):
        shutil.copytree(root / room, tmp_path / "project" / room, ignore=shutil.ignore_patterns("lab", "__pycache__"))
    monkeypatch.setenv("CELERYLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "project"


def planned(project: Path, **configuration: str) -> Plan:
    return make_plan(project, "02", {"lab": "solution", **configuration})


def fingerprints(plan: Plan) -> dict[str, str]:
    return {role.name: role.fingerprint for role in plan.hosts[0].roles}


def changed_by(project: Path, edit: Callable[[], object]) -> set[str]:
    before = fingerprints(planned(project))
    edit()
    after = fingerprints(planned(project))
    return {name for name, fingerprint in after.items() if before[name] != fingerprint}


def append(path: Path, text: str) -> Callable[[], object]:
    return lambda: path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_one_host_runs_everything(project: Path) -> None:
    plan = planned(project)
    assert [host.name for host in plan.hosts] == ["node-1"]
    assert [role.name for role in plan.hosts[0].roles] == ["base", "redis", "celery_app", "celery_worker"]
    assert plan.broker_host("") == "node-1"


def test_the_broker_is_a_setting(project: Path) -> None:
    plan = planned(project, broker="rabbitmq")
    assert [role.name for role in plan.hosts[0].roles] == ["base", "rabbitmq", "celery_app", "celery_worker"]
    assert plan.endpoint_port("broker") == 5672
    login = "celery:{{ celerylab_secrets.broker_password }}"
    assert plan.broker_facts("") == {"name": "rabbitmq", "broker_url": f"amqp://{login}@node-1:5672//", "result_url": "rpc://"}


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("modules/02-first-application/solution/app/shop/tasks.py", {"celery_app"}),
        ("modules/02-first-application/solution/systemd/celery@.service.d/lab.conf", {"celery_worker"}),
        ("modules/02-first-application/solution/redis/redis.conf", {"redis"}),
        ("modules/02-first-application/starter/requirements.txt", {"celery_app"}),
        ("roles/redis/tasks/run.yml", {"redis"}),
        ("roles/redis/README.md", set()),
        ("modules/02-first-application/solution/rabbitmq/rabbitmq.conf", set()),
    ],
)
def test_an_edit_touches_only_what_it_must(project: Path, name: str, roles: set[str]) -> None:
    assert changed_by(project, append(project / name, "\n# edited\n")) == roles


def test_secrets_are_references_until_ansible_runs(project: Path) -> None:
    roles = {role.name: role for role in planned(project).hosts[0].roles}
    assert roles["redis"].secrets == ("broker_password",)
    assert set(roles["celery_app"].secrets) == {"broker_password", "ledger_token"}
    assert roles["base"].secrets == ()


def test_an_image_is_the_same_while_its_recipe_is(project: Path) -> None:
    def reference() -> str:
        plan = planned(project)
        return host_recipe(plan, plan.hosts[0]).reference

    before = reference()
    append(project / "roles/redis/tasks/configure.yml", "\n# edited\n")()
    append(project / "modules/02-first-application/solution/app/shop/tasks.py", "\n# edited\n")()
    assert reference() == before
    append(project / "roles/redis/tasks/install.yml", "\n# edited\n")()
    assert reference() != before


def test_an_install_variable_asks_for_another_image(project: Path) -> None:
    before = {recipe.reference for recipe in recipes(planned(project))}
    (project / "modules/02-first-application/solution/vars.yaml").write_text("redis_version: '5:7.0.15-1'\n", encoding="utf-8")
    after = {recipe.reference for recipe in recipes(planned(project))}
    assert len(after - before) == 1


def test_a_variable_that_all_rungs_share_and_no_role_knows_is_refused(project: Path) -> None:
    append(project / "environments" / "application.yaml", "celery_app_sorce: /srv\n")()
    with pytest.raises(InputError, match=r"application\.yaml:\d+: celery_app_sorce: .*did you mean celery_app_source"):
        planned(project)


def test_parents_are_baked_before_children(project: Path) -> None:
    order = [recipe.reference for recipe in recipes(planned(project))]
    for recipe in recipes(planned(project)):
        if recipe.parent:
            assert order.index(recipe.parent.reference) < order.index(recipe.reference)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("solution/vars.yaml", "redis_maxmemry: 1\n", "vars.yaml:1: redis_maxmemry: no role of this environment has such a variable"),
        ("solution/vars.yaml", "a: 1\nredis_port: many\n", "vars.yaml:1: a: no role"),
        ("solution/vars.yaml", "redis_port: many\n", "vars.yaml:1: redis_port: write a whole number, not 'many'"),
        ("solution/vars.yaml", "rabbitmq_port: 5673\n", "rabbitmq_port: no role of this environment has such a variable"),
        ("solution/vars.yaml", "- 1\n", "write variables as `name: value`"),
        (
            "module.yaml",
            "vars: {redis_prot: 1}\n",
            "redis_prot: no role of this environment has such a variable (did you mean redis_port?)",
        ),
    ],
)
def test_variables_that_no_role_knows_are_refused(project: Path, name: str, text: str, message: str) -> None:
    path = project / "modules/02-first-application" / name
    path.write_text((path.read_text(encoding="utf-8") if path.is_file() else "") + text, encoding="utf-8")
    with pytest.raises(InputError) as refusal:
        planned(project)
    assert message in str(refusal.value)


def test_a_port_for_an_unknown_endpoint_is_refused(project: Path) -> None:
    with pytest.raises(InputError, match="celerylab:ports names brokr; this environment has broker, ledger"):
        planned(project, ports="brokr=1234")


def test_an_endpoint_on_an_unknown_network_is_refused(project: Path) -> None:
    path = project / "environments/single-node.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"{broker_port}"}', '"{broker_port}", network: lan}'), encoding="utf-8")
    with pytest.raises(InputError, match=r"single-node\.yaml:\d+: .*endpoint broker is on network lan, which is none of lab, observe"):
        planned(project)


def test_a_group_without_a_size_is_refused(project: Path) -> None:
    path = project / "environments/single-node.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("size: small", "size: smal"), encoding="utf-8")
    with pytest.raises(InputError, match=r"single-node\.yaml:\d+: .*group node has size smal, which is none of small"):
        planned(project)


def test_a_folder_that_disagrees_with_its_module_is_refused(project: Path) -> None:
    (project / "modules/02-first-application").rename(project / "modules/02-second-application")
    with pytest.raises(InputError, match="id and slug say 02-first-application"):
        planned(project)


def test_a_module_may_run_more_services_than_its_broker(project: Path) -> None:
    plan = make_plan(project, "04", {"lab": "solution"})
    assert {host.name: [role.name for role in host.roles] for host in plan.hosts} == {
        "node-1": ["base", "redis", "celery_app", "celery_worker"],
        "queue-1": ["base", "rabbitmq"],
        "store-1": ["base", "redis", "postgresql"],
    }
    assert plan.broker_host("") == "node-1"
    assert {plan.endpoint_port(name) for name in ("broker", "results")} == {6379}
    assert (plan.endpoint_port("rabbitmq"), plan.endpoint_port("database")) == (5672, 5432)
    assert {"broker_password", "database_password", "erlang_cookie"} <= set(plan.secret_names)
    secrets = {(host.name, role.name): role.secrets for host in plan.hosts for role in host.roles}
    assert secrets["queue-1", "rabbitmq"] == ("broker_password", "erlang_cookie")
    assert secrets["store-1", "postgresql"] == ("database_password",)


def test_a_service_that_no_host_runs_brings_no_variables_and_no_secrets(project: Path) -> None:
    plan = planned(project)
    assert not [name for name in plan.variables if name.startswith("rabbitmq_")]
    assert "erlang_cookie" not in plan.secret_names
