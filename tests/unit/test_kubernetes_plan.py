"""The Kubernetes rung as a plan: the chart's values, the lab's own manifests, and what is refused before anything is touched."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from celerylab.clusters.access import rights
from celerylab.errors import InputError
from celerylab.topology.kubernetes import KubernetesPlan, make_any_plan, make_kubernetes_plan
from celerylab.topology.manifests import KINDS

IMAGES = {"application": "celerylab.local/application:1", "redis": "celerylab/redis:2", "support": "celerylab/support:3"}
WORKER: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "worker"},
    "spec": {"template": {"spec": {"containers": [{"name": "worker", "image": "lab/application"}]}}},
}


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with a module 99 on this rung."""
    copy = tmp_path / "project"
    for room in ("environments", "roles"):
        shutil.copytree(root / room, copy / room)
    source, folder = root / "modules" / "02-first-application", copy / "modules" / "99-rung"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("lab"))
    monkeypatch.setenv("CELERYLAB_CACHE", str(tmp_path / "cache"))
    path = folder / "module.yaml"
    module = yaml.safe_load(path.read_text(encoding="utf-8"))
    objective = {"id": "99.1", "statement": "s", "weight": 1, "look": "l", "hints": []}
    changed = {"id": "99", "slug": "rung", "environment": "kubernetes", "objectives": [objective], "artefacts": []}
    chart = {"exporter": {"pools": {"worker": {"nodes": "celery@worker-", "queues": ["celery"]}}}}
    path.write_text(yaml.safe_dump({**module, **changed, "chart": chart}), encoding="utf-8")
    write(copy, WORKER)
    return copy


def write(project: Path, *objects: Any, name: str = "worker.yaml") -> None:
    """Writes manifests into the lab."""
    folder = project / "modules" / "99-rung" / "starter" / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump_all(objects), encoding="utf-8")


def planned(project: Path, **configuration: str) -> KubernetesPlan:
    return make_kubernetes_plan(project, "99", {"lab": "starter", **configuration})


def test_a_module_s_plan_is_of_the_substrate_of_its_rung(project: Path) -> None:
    assert isinstance(make_any_plan(project, "99", {"lab": "starter"}), KubernetesPlan)


def test_images_and_namespace_come_from_the_stack(project: Path) -> None:
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "worker"},
        "spec": {"url": "http://lab-exporter.${NAMESPACE}.svc"},
    }
    write(project, WORKER, scaled)
    deployment, scaling = planned(project).manifests("celerylab-1", IMAGES)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGES["application"]
    assert [found["metadata"] for found in (deployment, scaling)] == [{"name": "worker", "namespace": "celerylab-1"}] * 2
    assert scaling["spec"]["url"] == "http://lab-exporter.celerylab-1.svc"


def test_a_lab_s_values_win_over_the_module_s_but_not_over_the_platform_s(project: Path) -> None:
    lab = project / "modules" / "99-rung" / "starter" / "values.yaml"
    lab.write_text("app: other\nredis: {enabled: false, maxMemory: 64mb}\nsecrets: [mine]\n", encoding="utf-8")
    values = planned(project).values(IMAGES)
    assert values["app"] == "other"
    assert values["redis"]["enabled"] is True
    assert values["redis"]["maxMemory"] == "64mb"
    assert values["image"] == {"repository": "celerylab.local/application", "tag": "1"}
    assert values["secrets"] == ["mine", "ledger"]
    assert values["exporter"]["pools"]["worker"]["queues"] == ["celery"]


def test_the_broker_knows_the_application_s_user_with_the_role_s_rules(project: Path) -> None:
    secret = planned(project).broker_secret({"broker_password": "word", "redis_password": "own"}, "celerylab-1")
    assert secret["url"] == "redis://celery:word@lab-redis.celerylab-1.svc:6379/0"
    assert secret["result-url"] == "redis://celery:word@lab-redis.celerylab-1.svc:6379/1"
    first, second = secret["redis.conf"].splitlines()
    assert (first, secret["password"]) == ("requirepass own", "own")
    assert second.startswith("user celery on >word ~* &* +@all -@admin")


def test_rabbitmq_is_what_the_chart_runs_where_it_is_chosen(project: Path) -> None:
    plan = planned(project, broker="rabbitmq")
    values = plan.values({**IMAGES, "rabbitmq": "celerylab/rabbitmq:4"})
    assert (values["broker"]["type"], values["settings"]["LAB_BROKER"]) == ("rabbitmq", "rabbitmq")
    assert (values["rabbitmq"]["enabled"], values["rabbitmq"]["image"]["tag"]) == (True, "4")
    assert "enabled" not in values["redis"]  # which is the chart's own default, false
    assert plan.services_of["broker"] == {"name": "lab-rabbitmq", "port": 5672}
    assert plan.broker_secret({"broker_password": "word"}, "celerylab-1") == {
        "type": "rabbitmq",
        "url": "amqp://celery:word@lab-rabbitmq.celerylab-1.svc:5672//",
        "result-url": "rpc://",
        "management": "http://celery:word@lab-rabbitmq.celerylab-1.svc:15672",
        "rabbitmq.conf": "default_user = celery\ndefault_pass = word\n",
    }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"kind": "Deployment"}, "document 1: is no Kubernetes object; write apiVersion, kind and metadata.name"),
        ({**WORKER, "kind": "Deploymnt"}, "a stack makes no Deploymnt (did you mean Deployment?)"),
        ({**WORKER, "kind": "ClusterRole"}, "a stack makes no ClusterRole"),
        ({**WORKER, "metadata": {"name": "worker", "namespace": "kube-system"}}, "names namespace kube-system; leave it out"),
        ({**WORKER, "spec": {"image": "lab/aplication"}}, "there is no image lab/aplication; there are lab/application"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_with_its_place(project: Path, document: dict[str, Any], said: str) -> None:
    write(project, document)
    with pytest.raises(InputError, match=r"worker\.yaml") as refused:
        planned(project)
    assert said in str(refused.value)


def test_an_object_that_is_written_twice_is_refused(project: Path) -> None:
    write(project, WORKER, name="again.yaml")
    with pytest.raises(InputError, match="Deployment worker is written twice"):
        planned(project)


def test_a_lab_without_an_application_is_refused(project: Path) -> None:
    (project / "modules" / "99-rung" / "starter" / "requirements.txt").unlink()
    with pytest.raises(InputError, match=r"there is no requirements\.txt"):
        planned(project)


@pytest.mark.parametrize(("name", "value"), [("cluster", "no such name"), ("registry", "UPPER"), ("broker", "kafka")])
def test_a_setting_that_cannot_be_is_refused(project: Path, name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"celerylab:{name}"):
        planned(project, **{name: value})


def test_an_objective_applies_under_settings_that_exist(project: Path) -> None:
    path = project / "modules" / "99-rung" / "module.yaml"
    module = yaml.safe_load(path.read_text(encoding="utf-8"))
    module["objectives"][0]["applies_when"] = {"context": [""]}
    path.write_text(yaml.safe_dump(module), encoding="utf-8")
    assert planned(project).module.objectives[0].applies_when == {"context": [""]}
    module["objectives"][0]["applies_when"] = {"contxt": [""]}
    path.write_text(yaml.safe_dump(module), encoding="utf-8")
    with pytest.raises(InputError, match=r"no setting of the module or its rung \(did you mean context"):
        planned(project)


def test_rights_are_asked_for_every_kind_that_a_stack_may_make() -> None:
    creatable = {resource for _, resource, verb in rights() if verb == "create"}
    plurals = {f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s" for kind in KINDS}
    assert plurals <= creatable
