"""Bad input and bad days: one clear line each, nothing lost, nothing left behind."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from celerylab.providers.engine import engine, left_behind
from tests.live.conftest import LiveStack, run


@pytest.fixture
def lab(tmp_path: Path, module_02: Path) -> Path:
    """A lab of the learner's with the starter in it."""
    return Path(shutil.copytree(module_02 / "starter", tmp_path / "lab"))


def test_unknown_module(root: Path, says) -> None:
    says(run(["celerylab", "up", "twelve"], root, check=False), "there is no module twelve", "`celerylab list` shows all", code=2)


def test_unknown_broker(stack: LiveStack, says) -> None:
    says(stack.celerylab("up", "--set", "broker=rabitmq", check=False), "write one of redis, rabbitmq (did you mean rabbitmq?)", code=2)
    assert stack.name not in run(["pulumi", "stack", "ls"], stack.folder).stdout  # nothing half-made


def test_unknown_broker_under_plain_pulumi(stack: LiveStack, says) -> None:
    stack.pulumi("stack", "init")
    stack.pulumi("config", "set", "celerylab:broker", "kafka")
    says(stack.pulumi("up", "--yes", "--skip-preview", check=False), "write one of redis, rabbitmq", "pulumi config set celerylab:broker")
    assert left_behind(stack.instance) == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("vars.yaml", "redis_maxmemry: 1\n", ("vars.yaml:1:", "did you mean redis_maxmemory?")),
        ("vars.yaml", "redis_appendonly: true\nredis_port: many\n", ("vars.yaml:2:", "redis_port: write a whole number, not 'many'")),
        ("vars.yaml", "a: [1\n", ("vars.yaml:2:", "not valid YAML")),
        ("app/shop/tasks.py", "def f(:\n    pass\n", ("app/shop/tasks.py:1:", "Python does not parse this")),
        ("rabbitmq/definitions.json", "{\n  'users': []\n}\n", ("definitions.json:2:", "not valid JSON")),
    ],
)
def test_a_lab_that_cannot_be_understood(stack: LiveStack, lab: Path, file: str, text: str, words: tuple[str, ...], says) -> None:
    (lab / file).write_text(text, encoding="utf-8")
    says(stack.celerylab("up", "--lab", str(lab), check=False), *words, code=2)
    assert left_behind(stack.instance) == []


def test_docker_is_not_running(stack: LiveStack, says) -> None:
    away = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    environment = {**os.environ, **away}
    line = ["celerylab", "up", "02", "--stack", stack.name, "--lab", "solution"]
    says(run(line, stack.folder, check=False, env=environment), "Docker does not answer at unix:///nowhere/docker.sock", code=3)
    stack.pulumi("stack", "init")
    plain = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack.name]
    says(run(plain, stack.folder, check=False, env=environment), "Docker does not answer")


def test_a_port_that_is_taken(stack: LiveStack, says) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = stack.celerylab("up", "--lab", "solution", "--set", f"ports=broker={port}", check=False)
        says(result, f"port {port} on 127.0.0.1 is taken", "pulumi config set celerylab:ports")
    stack.celerylab("up", "--lab", "solution")  # the port is free now: the same stack goes on
    assert stack.outputs()["endpoints"]["broker"] == f"127.0.0.1:{port}"


def test_every_subnet_is_taken(stack: LiveStack, says) -> None:
    from docker.types import IPAMConfig, IPAMPool

    pool = IPAMConfig(pool_configs=[IPAMPool(subnet="10.212.255.0/24")])
    network = engine().networks.create("celerylab-test-occupied", driver="bridge", internal=True, ipam=pool)
    try:
        environment = {**os.environ, "CELERYLAB_POOL": "10.212.255.0/24"}
        line = ["celerylab", "up", "02", "--stack", stack.name, "--lab", "solution"]
        says(run(line, stack.folder, check=False, env=environment), "every subnet of 10.212.255.0/24 is taken", "set CELERYLAB_POOL")
    finally:
        network.remove()


@pytest.mark.parametrize(("amount", "words"), [("memory: 900GiB", "900 GiB of memory, and"), ("disk: 900TiB", "900 TiB of disk, and")])
def test_the_machine_is_too_small(checkout: Path, amount: str, words: str, says) -> None:
    kind = amount.split(":", maxsplit=1)[0]
    module = checkout / "modules" / "02-first-application" / "module.yaml"
    text = module.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("needs:"))
    parts = {"memory": "memory: 1MiB", "disk": "disk: 1MiB", kind: amount}
    module.write_text(text.replace(line, f"needs: {{{', '.join(parts.values())}}}"), encoding="utf-8")
    result = run(
        ["celerylab", "up", "02", "--stack", "small", "--lab", "solution"],
        checkout,
        check=False,
        env={**os.environ, "CELERYLAB_PROJECT": str(checkout)},
    )
    says(result, "module 02 does not fit on this machine", words, "Nothing was created")
    run(
        ["celerylab", "down", "02", "--stack", "small", "--remove"],
        checkout,
        env={**os.environ, "CELERYLAB_PROJECT": str(checkout)},
    )


def test_an_edited_suite(checkout: Path, shared: LiveStack) -> None:
    """The verdicts are there, and say what they are worth."""
    module = checkout / "modules" / "02-first-application"
    for check in (module / "verify").glob("test_*.py"):
        check.write_text(
            'from celerylab.verify.plugin import objective\n@objective("02.1")\ndef test_easy():\n    pass\n', encoding="utf-8"
        )
    shutil.copy(shared.folder / f"Pulumi.{shared.name}.yaml", module)
    environment = {**os.environ, "CELERYLAB_PROJECT": str(checkout)}
    result = run(["celerylab", "verify", "02", "--stack", shared.name], checkout, check=False, env=environment)
    assert result.returncode == 8
    assert "this suite is not the published one: verify/ was edited" in result.stdout
    assert json.loads(shared.celerylab("verify", "--json", "-o", "02.2").stdout)["fingerprint"]["suite_published"]


def test_the_state_is_lost_then_down_force(stack: LiveStack) -> None:
    stack.up()
    state = Path(os.environ["CELERYLAB_DATA"]) / "state" / ".pulumi" / "stacks" / "celerylab-02"
    for file in state.glob(f"{stack.name}.json*"):
        file.unlink()
    assert left_behind(stack.instance)
    assert "left behind: 0" in stack.celerylab("down", "--force").stdout
    assert left_behind(stack.instance) == []


def test_what_an_interrupted_run_left_is_adopted_or_replaced(stack: LiveStack) -> None:
    """Containers and networks of a run whose state was lost do not stand in the way of the next."""
    stack.up()
    state = Path(os.environ["CELERYLAB_DATA"]) / "state" / ".pulumi" / "stacks" / "celerylab-02"
    for file in state.glob(f"{stack.name}.json*"):
        file.unlink()
    stack.celerylab("up", "--lab", "solution")
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"


def test_destroy_twice_and_down_of_nothing(stack: LiveStack) -> None:
    stack.up()
    assert "left behind: 0" in stack.celerylab("down").stdout
    assert "left behind: 0" in stack.celerylab("down").stdout
    assert "left behind: 0" in LiveStack(stack.folder).celerylab("down").stdout


def test_verify_before_up_says_what_to_do(stack: LiveStack, says) -> None:
    says(stack.celerylab("verify", check=False), f"module 02 has no stack {stack.name}", "celerylab up 02", code=2)
    stack.pulumi("stack", "init")
    says(stack.celerylab("verify", check=False), "is not up", "celerylab up 02", code=2)
