"""The multi-worker rung: how long it takes to come, to grow, to shrink and to go, and how much goes through it."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from celery import Celery

from celerylab.bench.compose import BROKER_URL, RESULT_URL, composed
from celerylab.bench.headroom import DAY_SECONDS, tasks_a_second
from celerylab.bench.measuring import Figure, memory, quietly, timed
from celerylab.images.bake import bake, missing
from celerylab.images.recipe import host_recipe, recipes
from celerylab.prometheus import ask_prometheus
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.lab import overlay
from celerylab.topology.plan import make_plan
from celerylab.verify.expect import wait_for
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

TASKS = 3000  # of one load; a second or two of it is the client's start
WARM_UP = 200
WORKER_OPTIONS = ["-E"]  # events, which the exporter counts; the bare workers send them as well, or the ratio would measure them
OTHER_HOSTS = 5  # broker, data, two beats, monitoring
ROOMS = ("environments", "manifests", "roles", "stacks")


def module_on_the_rung(root: Path, checkout: Path) -> Path:
    """Makes module 99 in `checkout`, which is module 02's application of `root` on the whole multi-worker rung; its folder."""
    return module_on(
        root,
        checkout,
        "multi-worker",
        {
            "secrets": ["next_password"],
            "vars": {"celery_worker_instances": {"default": {"extra_args": WORKER_OPTIONS}}},
            "needs": {"memory": "1536MiB", "disk": "3GiB"},
        },
    )


def module_on(root: Path, checkout: Path, rung: str, changes: Mapping[str, Any]) -> Path:
    """Makes module 99 in `checkout`: module 02's application of `root` on `rung`, with `changes` in its module.yaml; its folder."""
    source, folder = root / "modules" / "02-first-application", checkout / "modules" / "99-rung"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("lab", "Pulumi.*.yaml"))
    module = yaml.safe_load((source / "module.yaml").read_text(encoding="utf-8"))
    objective = {**module["objectives"][0], "id": "99.1", "needs": []}
    module |= {"id": "99", "slug": "rung", "environment": rung, "objectives": [objective], "artefacts": [], **changes}
    (folder / "module.yaml").write_text(yaml.safe_dump(module), encoding="utf-8")
    program = (source / "Pulumi.yaml").read_text(encoding="utf-8").replace("single-node", rung)
    (folder / "Pulumi.yaml").write_text(program.replace("celerylab-02", "celerylab-99").replace('"02"', '"99"'), encoding="utf-8")
    return folder


class RungBench:
    """Measures the rung in a project of its own. `figures` are its rows."""

    def __init__(self) -> None:
        self.up = Figure("multi-worker up (3 workers), to the first result", 30)
        self.memory = Figure("memory of its containers at rest, MiB", 1536)
        self.add = Figure("`pulumi up` with one worker more, until it works and is watched", 8)
        self.less = Figure("`pulumi up` with one worker less, drained")
        self.rate = Figure("no-op tasks a second through the rung")
        self.bare = Figure("no-op tasks a second, bare Celery and Redis")
        self.ratio = Figure("the rung as a ratio to bare", 0.7, at_least=True)
        self.day = Figure("tasks a day through the rung, millions")
        self.down = Figure("multi-worker destroy and receipt", 15)

    @property
    def figures(self) -> list[Figure]:
        """All rows, in the order of the table."""
        return [self.up, self.memory, self.add, self.less, self.rate, self.bare, self.ratio, self.day, self.down]

    def measure(self, root: Path) -> None:
        """One run of every figure, on a stack that is gone afterwards."""
        with project(root) as folder, tempfile.TemporaryDirectory() as name:
            lab = Path(name, "lab")
            lab.mkdir()
            for layer in ("starter", "solution"):
                overlay(folder / layer, lab)
            plan = make_plan(folder.parents[1], "99", {"lab": str(lab)})
            for recipe in missing(recipes(plan)):
                bake(plan, recipe, lambda _: None)
            images = {key: host_recipe(plan, host).reference for key, host in (("redis", plan.hosts[0]), ("worker", plan.hosts[-1]))}
            target = PulumiStack(folder, "bench")
            target.ensure()
            try:
                target.configure({"lab": str(lab), "workers": "3"})
                self._stack(target)
            finally:
                self.down.values.append(timed(lambda: target.destroy(quiet=True)))
                target.run("stack", "rm", "--yes", quiet=True)
            self._bare(Path(name), lab, images)
        self.ratio.values.append(self.rate.values[-1] / self.bare.values[-1])
        self.day.values.append(self.rate.values[-1] * DAY_SECONDS / 1e6)

    def _stack(self, target: PulumiStack) -> None:
        self.up.values.append(timed(lambda: _first_result(_deployed(target))))
        stack = Stack.deployed(target)
        wait_for(lambda: watched(stack) == OTHER_HOSTS + 3, 60, expected="all hosts watched")
        self.memory.values.append(memory(target.instance.id))
        for figure, workers in ((self.add, 4), (self.less, 3)):
            target.configure({"workers": str(workers)})
            figure.values.append(timed(partial(_scaled, target, stack, workers)))
        self.rate.values.append(_load(stack.broker_url(), stack.broker_url(kind="result_url")))

    def _bare(self, folder: Path, lab: Path, images: dict[str, str]) -> None:
        with composed(folder, lab, images, workers=3, options=WORKER_OPTIONS) as up:
            quietly(up, folder)
            self.bare.values.append(_load(BROKER_URL, RESULT_URL))


def _deployed(target: PulumiStack) -> Stack:
    target.run("up", "--yes", "--skip-preview", quiet=True)
    return Stack.deployed(target)


def _first_result(stack: Stack) -> None:
    client = WorkerClient(stack)
    client.outcome(client.send("celerylab_probe.echo", "bench"), 60)
    client.close()


def _scaled(target: PulumiStack, stack: Stack, workers: int) -> None:
    target.run("up", "--yes", "--skip-preview", quiet=True)
    client = WorkerClient(stack)
    names = sorted(f"default@worker-{number + 1}" for number in range(workers))
    wait_for(lambda: client.names() == names, 60, expected=f"{workers} workers", every=0.05)
    client.close()
    wait_for(lambda: watched(stack) == OTHER_HOSTS + workers, 60, expected=f"{workers} watched workers", every=0.05)


def _load(broker: str, backend: str) -> float:
    with Celery("celerylab-bench", broker=broker, backend=backend, set_as_current=False) as app:
        tasks_a_second(app, "celerylab_probe.echo", WARM_UP)
        return tasks_a_second(app, "celerylab_probe.echo", TASKS)


def watched(stack: Stack) -> int:
    """How many hosts Prometheus sees."""
    targets: list[dict[str, Any]] = ask_prometheus(f"http://{stack.endpoint('prometheus')}", "targets", {})["activeTargets"]
    return sum(target["labels"]["job"] == "hosts" and target["health"] == "up" for target in targets)


@contextmanager
def project(root: Path) -> Iterator[Path]:
    """Folder of a module on the whole rung, in a project that is gone afterwards and is the current one inside."""
    with tempfile.TemporaryDirectory(prefix="celerylab-bench-") as name:
        for room in ROOMS:
            shutil.copytree(root / room, Path(name, room))
        folder = module_on_the_rung(root, Path(name))
        if (root / ".tools").exists():
            Path(name, ".tools").symlink_to((root / ".tools").resolve())
        former = os.environ.get("CELERYLAB_PROJECT")
        os.environ["CELERYLAB_PROJECT"] = name
        try:
            yield folder
        finally:
            os.environ.pop("CELERYLAB_PROJECT")
            if former is not None:
                os.environ["CELERYLAB_PROJECT"] = former
