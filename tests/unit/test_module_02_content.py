"""Module 02's applications as they are written: the starter has its five errors, the solution and the README's own application none."""

import configparser
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celerylab.course.walkthrough import Write, read_walkthrough
from celerylab.topology.lab import check_syntax, overlay

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "02-first-application"
DROP_IN = Path("systemd/celery@.service.d/lab.conf")
HOST = {"LAB_BROKER_URL": "redis://celery:pw@broker:6379/0", "LAB_RESULT_URL": "redis://celery:pw@broker:6379/1", "LAB_BROKER": "redis"}
CONTRACT = {"receipts.send", "bills.split", "reports.summarise"}

# Runs in the lab's app/ as a worker would: imports the application and its `include`, and runs tasks in this process.
LOOK = """
import json, sys
from celery.app.utils import find_app
app = find_app(sys.argv[1])
app.loader.import_default_modules()
runs = {}
for name, arguments in json.loads(sys.argv[2]):
    result = app.tasks[name].apply(arguments)
    outcome = result.result if result.successful() else type(result.result).__name__
    runs[json.dumps([name, arguments])] = [result.state, outcome, bool(result.traceback)]
names = [name for name in app.tasks if not name.startswith("celery.")]
conf = {key: app.conf[key] for key in sys.argv[3].split(",")}
print(json.dumps({"names": sorted(names), "conf": conf, "runs": runs}))
"""
CONF = (
    "broker_url,result_backend,broker_connection_retry_on_startup,task_serializer,accept_content,worker_log_format,worker_task_log_format"
)


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The starter, the solution, and the starter after somebody followed the README."""
    folder = tmp_path_factory.mktemp("labs")
    found = {name: folder / name for name in ("starter", "solution", "followed")}
    for lab in found.values():
        lab.mkdir()
        overlay(MODULE / "starter", lab)
    overlay(MODULE / "solution", found["solution"])
    for step in read_walkthrough(MODULE / "README.md"):
        if isinstance(step, Write):
            target = found["followed"] / step.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(step.text, encoding="utf-8")
    return found


def look(lab: Path, app: str, runs: list[Any] | None = None, **environment: str) -> dict[str, Any]:
    """What a process with the host's environment sees of the application `app` in `lab`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "LAB_BROKER", "RESULT"))}
    command = [sys.executable, "-c", LOOK, app, json.dumps(runs or []), CONF]
    result = subprocess.run(
        command, cwd=lab / "app", env={**clean, **HOST, **environment, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def service(lab: Path) -> dict[str, list[str]]:
    """[Service] of the drop-in: each name with all its values."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign] (systemd tells upper and lower case apart)
    parser.read_string((lab / DROP_IN).read_text(encoding="utf-8"))
    assert parser.sections() == ["Service"]
    return {name: value.split("\n") for name, value in parser.items("Service")}


def directives(path: Path) -> set[str]:
    """Lines of a Redis or RabbitMQ configuration that are not comments, with single spaces."""
    lines = (" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line and not line.startswith("#")}


# The five errors: each is in the starter and not in the solution.


def runs_as_root(lab: Path) -> bool:
    return service(lab).get("User") == ["root"]


def names_a_module_that_is_not_there(lab: Path) -> bool:
    (application,) = service(lab)["Environment"]
    name = application.removeprefix("CELERY_APP=")
    found = subprocess.run(
        [sys.executable, "-m", "celery", "--app", name, "report"],
        cwd=lab / "app",
        env={**os.environ, **HOST},
        capture_output=True,
        text=True,
        check=False,
    )
    missing = f"The module {name} was not found." in found.stderr
    assert found.returncode == (2 if missing else 0), found.stderr
    return missing


def lets_strangers_in(lab: Path) -> bool:
    definitions = json.loads((lab / "rabbitmq/definitions.json").read_text(encoding="utf-8"))
    found = {
        "redis": "user default on nopass sanitize-payload ~* &* +@all" in directives(lab / "redis/redis.conf"),
        "protected mode": "protected-mode no" in directives(lab / "redis/redis.conf"),
        "guest": [(user["name"], user["password"]) for user in definitions["users"]] == [("guest", "guest")],
        "guest may do anything": any(
            permission["user"] == "guest" and permission["write"] == ".*" for permission in definitions["permissions"]
        ),
        "from anywhere": "loopback_users = none" in directives(lab / "rabbitmq/rabbitmq.conf"),
        "and so does the application": look(lab, "shop")["conf"]["broker_url"] != HOST["LAB_BROKER_URL"],
        "on RabbitMQ, too": look(lab, "shop", LAB_BROKER="rabbitmq", LAB_BROKER_URL="amqp://celery:pw@b//")["conf"]["broker_url"]
        != "amqp://celery:pw@b//",
    }
    assert len(set(found.values())) == 1, f"half an error: {found}"
    return found["redis"]


def gives_up_without_a_broker(lab: Path) -> bool:
    return look(lab, "shop")["conf"]["broker_connection_retry_on_startup"] is not True


def swallows_its_exception(lab: Path) -> bool:
    state, outcome, traceback = look(lab, "shop", [["bills.split", [1000, 0]]])["runs"]['["bills.split", [1000, 0]]']
    assert (state, outcome, traceback) in {("SUCCESS", None, False), ("FAILURE", "ValueError", True)}
    return bool(state == "SUCCESS")


ERRORS = [runs_as_root, names_a_module_that_is_not_there, lets_strangers_in, gives_up_without_a_broker, swallows_its_exception]


@pytest.mark.parametrize("error", ERRORS)
def test_the_starter_has_the_error_and_the_solution_has_not(labs: dict[str, Path], error: Callable[[Path], bool]) -> None:
    assert error(labs["starter"])
    assert not error(labs["solution"])


def test_the_solution_touches_only_files_that_have_an_error() -> None:
    files = sorted(path.relative_to(MODULE / "solution").as_posix() for path in (MODULE / "solution").rglob("*") if path.is_file())
    assert [name for name in files if "__pycache__" not in name] == [
        "app/celeryconfig.py",
        "app/shop/tasks.py",
        "rabbitmq/definitions.json",
        "rabbitmq/rabbitmq.conf",
        "redis/redis.conf",
        DROP_IN.as_posix(),
    ]


@pytest.mark.parametrize("name", ["starter", "solution", "followed"])
def test_a_lab_parses(labs: dict[str, Path], name: str) -> None:
    check_syntax(labs[name])


@pytest.mark.parametrize("name", ["starter", "solution", "followed"])
def test_requirements_pin_celery(labs: dict[str, Path], name: str) -> None:
    assert directives(labs[name] / "requirements.txt") == {"celery[redis]==5.7.0"}


# What both applications do.

RUNS: list[tuple[str, list[Any], Any]] = [
    ("bills.split", [1000, 3], [334, 333, 333]),
    ("bills.split", [1001, 4], [251, 250, 250, 250]),
    ("bills.split", [0, 2], [0, 0]),
    ("bills.split", [1, 3], [1, 0, 0]),
    ("reports.summarise", [[100, 250]], {"count": 2, "total": 350, "mean": 175}),
    ("reports.summarise", [[]], {"count": 0, "total": 0, "mean": 0}),
    ("receipts.send", [7, "a@example.org"], {"order_id": 7, "email": "a@example.org", "status": "sent"}),
]


@pytest.mark.parametrize(("name", "app"), [("starter", "shop"), ("solution", "shop"), ("followed", "bistro")])
def test_the_tasks_keep_their_contract(labs: dict[str, Path], name: str, app: str) -> None:
    found = look(labs[name], app, [[task, arguments] for task, arguments, _ in RUNS])
    assert {task for task in found["names"] if not task.startswith("celerylab_probe.")} == CONTRACT
    assert "celerylab_probe.echo" in found["names"]
    assert found["runs"] == {json.dumps([task, arguments]): ["SUCCESS", expected, False] for task, arguments, expected in RUNS}


@pytest.mark.parametrize(("name", "app", "raised"), [("solution", "shop", "ValueError"), ("followed", "bistro", "ZeroDivisionError")])
def test_a_bill_without_people_is_a_failure_with_a_traceback(labs: dict[str, Path], name: str, app: str, raised: str) -> None:
    assert look(labs[name], app, [["bills.split", [1000, 0]]])["runs"] == {'["bills.split", [1000, 0]]': ["FAILURE", raised, True]}


@pytest.mark.parametrize(("name", "app"), [("solution", "shop"), ("followed", "bistro")])
@pytest.mark.parametrize("result", ["rpc://", HOST["LAB_RESULT_URL"]])
def test_the_application_is_configured_from_its_environment(labs: dict[str, Path], name: str, app: str, result: str) -> None:
    conf = look(labs[name], app, LAB_BROKER_URL="amqp://celery:pw@b//", LAB_RESULT_URL=result)["conf"]
    assert (conf["broker_url"], conf["result_backend"]) == ("amqp://celery:pw@b//", result)
    assert conf["broker_connection_retry_on_startup"] is True
    assert conf["accept_content"] == ["json"]
    assert "%(task_name)s" in conf["worker_task_log_format"]
    assert "%(message)s" in conf["worker_log_format"]


def test_following_the_readme_leaves_a_drop_in_that_only_names_the_application(labs: dict[str, Path]) -> None:
    assert service(labs["followed"]) == {"Environment": ["CELERY_APP=bistro"]}
