"""The cluster: how long it takes, and how a pool of workers on it follows its load."""

import csv
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import redis
from celery import Celery

from celerylab.bench.chart import SCALE_DOWN_SECONDS, ShopOnCluster
from celerylab.bench.measuring import Figure, memory, quietly, timed
from celerylab.clusters.forwards import Forwards
from celerylab.errors import EngineError
from celerylab.images.application import build_application
from celerylab.images.bake import bake, missing
from celerylab.images.recipe import recipes
from celerylab.plot import Curve, plot
from celerylab.providers.engine import left_behind
from celerylab.pulumi_stack import CLUSTER, PulumiStack
from celerylab.topology.kubernetes import make_kubernetes_plan
from celerylab.topology.module import module_folder
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

TASKS, SECONDS = 300, 1.0
ENOUGH = 4  # ready workers
PATIENCE_SECONDS = 300
MODULE = "23"  # the one whose stack is measured


@dataclass(frozen=True)
class Moment:
    """What there was so many `seconds` after the first task was sent."""

    seconds: float
    waiting: int
    ended: int
    wanted: int
    ready: int


@contextmanager
def bench_cluster(root: Path, up: Figure) -> Iterator[PulumiStack]:
    """A cluster of its own, made of what is baked, which is gone after the block; `up` takes the seconds."""
    folder = root / "stacks" / CLUSTER
    target = PulumiStack(folder, "bench")
    quietly(["celerylab", "cluster", "bake"], folder)
    target.ensure()
    try:
        up.values.append(timed(lambda: quietly(["pulumi", "up", "--yes", "--skip-preview", "--stack", target.name], folder)))
        quietly(["celerylab", "cluster", "kubeconfig", "--stack", target.name], folder)
        yield target
    finally:
        quietly(["celerylab", "cluster", "down", "--stack", target.name, "--force"], folder)


class ClusterBench:
    """A cluster with the chart on it. `figures` are its rows; `moments` those of the last run."""

    def __init__(self) -> None:
        self.up = Figure("cluster up, with KEDA ready", 60)
        self.first = Figure("helm install, to the first task result", 30)
        self.burst = Figure(f"{TASKS} tasks, to {ENOUGH} ready workers", 30)
        self.back = Figure("the last task, to one worker again", SCALE_DOWN_SECONDS + 15)
        self.wrong = Figure("tasks lost or doubled", 0)
        self.memory = Figure("memory of its containers, with the chart, MiB", 2560)
        self.module_up = Figure(f"module {MODULE} up on it, to the first task result", 30)
        self.module_no_op = Figure(f"no-op pulumi up of module {MODULE}")
        self.module_down = Figure(f"module {MODULE} destroy and receipt", 20)
        self.down = Figure("destroy and receipt of the cluster", 20)
        module = [self.module_up, self.module_no_op, self.module_down]
        self.figures = [self.up, *module, self.first, self.burst, self.back, self.wrong, self.memory, self.down]
        self.moments: list[Moment] = []

    def measure(self, root: Path) -> None:
        """One run of every figure, on a cluster that is gone afterwards."""
        with bench_cluster(root, self.up) as target:
            self._module(root, target)
            self._scale(root, target)
            self.memory.values.append(memory(target.instance.id))
            destroy = ["pulumi", "destroy", "--yes", "--skip-preview", "--stack", target.name]
            self.down.values.append(timed(lambda: quietly(destroy, target.folder)))
            if left_behind(target.instance.id):
                raise EngineError(f"left behind: {left_behind(target.instance.id)}")

    def _module(self, root: Path, target: PulumiStack) -> None:
        """A module's stack; its application's image is there, as after any earlier `up`."""
        folder = module_folder(root, MODULE)
        stack = PulumiStack(folder, target.name)
        plan = make_kubernetes_plan(root, MODULE, {"lab": "solution"})
        for recipe in missing(recipes(plan)):
            bake(plan, recipe, lambda _: None)
        build_application(root, plan.code, plan.requirements, lambda _: None)
        stack.ensure()
        stack.configure({"lab": "solution", "cluster": target.name})
        command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", stack.name]
        try:
            self.module_up.values.append(timed(lambda: _deployed(command, stack)))
            self.module_no_op.values.append(timed(lambda: quietly(command, folder)))
        finally:
            down = ["celerylab", "down", MODULE, "--stack", stack.name, "--remove"]
            self.module_down.values.append(timed(lambda: quietly(down, folder)))

    def _scale(self, root: Path, target: PulumiStack) -> None:
        shop = ShopOnCluster.on(root, target)
        shop.prepare()
        with shop.port_of("redis", 6379) as port:
            app = Celery(broker=f"redis://127.0.0.1:{port}/0", backend=f"redis://127.0.0.1:{port}/1", set_as_current=False)
            waiting = app.send_task("shop.work", ("first", 0.0))
            self.first.values.append(
                timed(lambda: (shop.helm("install", "shop", values=shop.values), waiting.get(timeout=PATIENCE_SECONDS)))
            )
            time.sleep(10)  # KEDA has heard that there is nothing to do
            self._burst(app, shop, port)

    def _burst(self, app: Celery, shop: ShopOnCluster, port: int) -> None:
        queue, counters = redis.Redis(port=port, db=0), redis.Redis(port=port, db=1)
        keys = [uuid.uuid4().hex for _ in range(TASKS)]
        began = time.monotonic()
        for key in keys:
            app.send_task("shop.work", (key, SECONDS))
        self.moments = []
        while not self.moments or self.moments[-1].ended < TASKS or (self.moments[-1].wanted, self.moments[-1].ready) != (1, 1):
            wanted, ready = shop.replicas()
            ended = sum(value is not None for value in counters.mget([f"ended:{key}" for key in keys]))
            self.moments.append(Moment(round(time.monotonic() - began, 1), queue.llen("celery"), ended, wanted, ready))
            if self.moments[-1].seconds > PATIENCE_SECONDS:
                raise EngineError(f"after {PATIENCE_SECONDS} s: {self.moments[-1]}")
            time.sleep(0.5)
        self.burst.values.append(next(moment.seconds for moment in self.moments if moment.ready >= ENOUGH))
        self.back.values.append(self.moments[-1].seconds - next(moment.seconds for moment in self.moments if moment.ended == TASKS))
        once = [counters.mget([f"{what}:{key}" for key in keys]) for what in ("started", "ended")]
        self.wrong.values.append(sum(value != b"1" for values in once for value in values))

    def write_timeline(self, folder: Path) -> None:
        """The last run's moments as scaling.csv and scaling.svg in `folder`."""
        with (folder / "scaling.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(self.moments[0])))
            writer.writeheader()
            writer.writerows(asdict(moment) for moment in self.moments)
        seconds = [moment.seconds for moment in self.moments]
        curves = [
            Curve("tasks that wait", seconds, [moment.waiting for moment in self.moments], "left"),
            Curve("tasks that ended", seconds, [moment.ended for moment in self.moments], "left"),
            Curve("workers wanted", seconds, [moment.wanted for moment in self.moments], "right"),
            Curve("workers ready", seconds, [moment.ready for moment in self.moments], "right"),
        ]
        title = f"{TASKS} tasks of {SECONDS:g} s: the pool follows its load"
        (folder / "scaling.svg").write_text(plot(title, "seconds", ("tasks", "workers"), curves), encoding="utf-8")


def _deployed(command: list[str], stack: PulumiStack) -> None:
    """Deploys `stack` by `command`; returns when a worker of it has answered."""
    quietly(command, stack.folder)
    deployed = Stack.deployed(stack)
    with Forwards(deployed.secrets["kubeconfig"], deployed.namespace, deployed.outputs["services"]) as forwards:
        deployed.outputs["endpoints"] = forwards.endpoints
        client = WorkerClient(deployed)
        client.outcome(client.send("celerylab_probe.echo", "bench"), PATIENCE_SECONDS)
        client.close()
