"""The programs that are mounted into a worker's pod, run in the tests' own Python: the worker's command, and what the kubelet asks."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.render.chart import CHART

FILES = CHART / "files"
patiently = retry(retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An application that is called worker, as the chart's program is, found by PYTHONPATH; with a broker of files, and the programs as a pod has
    them: a mounted ConfigMap's files are links into a hidden folder."""
    shutil.copytree(FILES, tmp_path / "programs" / "..hidden")
    for file in FILES.iterdir():
        (tmp_path / "programs" / file.name).symlink_to(Path("..hidden", file.name))
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "worker.py").write_text(
        "import os\nfrom celery import Celery\napp = Celery('worker', broker=os.environ['BROKER_URL'])\n"
        "folders = dict.fromkeys(['data_folder_in', 'data_folder_out', 'control_folder'], 'queues')\n"
        "app.conf.update(broker_connection_retry_on_startup=True, worker_enable_remote_control=False)\n"
        "if app.conf.broker_url.startswith('filesystem'): app.conf.broker_transport_options = folders\n",
        encoding="utf-8",
    )
    (tmp_path / "queues").mkdir()
    for name in ("heartbeat", "consuming"):
        (tmp_path / name).write_text("of the container before", encoding="ascii")
        os.utime(tmp_path / name, (0, 0))
    return tmp_path


def surroundings(folder: Path, broker: str = "") -> dict[str, str]:
    own = {f"CELERY_WORKER_{name}_FILE": str(folder / name.lower()) for name in ("HEARTBEAT", "CONSUMING")}
    return {
        **os.environ,
        **own,
        "CELERY_WORKER_WATCHDOG_SECONDS": "10",
        "BROKER_URL": broker,
        "PYTHONPATH": str(folder / "app"),
        "CELERY_WORKER_LOG_FORMAT": "json",
    }


def command(folder: Path) -> list[str]:
    return [sys.executable, str(folder / "programs" / "worker.py"), "--app=worker", "worker", "--pool=solo", "--queues=a,b"]


@pytest.fixture
def started(folder: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    options = ["worker.soft_shutdown_timeout=1", "worker.enable_soft_shutdown_on_idle=true"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command(folder), *options], cwd=folder, env=surroundings(folder, request.param), stdout=log, stderr=log
        )
    yield process
    process.kill()
    process.wait()


def probe(folder: Path, *arguments: str) -> int:
    asked = [sys.executable, "-IS", str(folder / "programs" / "probe.py"), *arguments]
    return subprocess.run(asked, env=surroundings(folder), capture_output=True, check=False).returncode


@pytest.mark.parametrize("started", ["filesystem://"], indirect=True)
def test_a_worker_lives_and_consumes_and_no_more_when_it_is_told_to_stop(folder: Path, started: subprocess.Popen[bytes]) -> None:
    @patiently
    def until_it_consumes() -> None:
        assert started.poll() is None, (folder / "log").read_text(encoding="utf-8")
        assert probe(folder, "alive", "10") == 0, (folder / "log").read_text(encoding="utf-8")
        assert probe(folder, "consuming") == 0

    until_it_consumes()
    assert (folder / "consuming").read_text(encoding="ascii") == ""
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 0
    assert probe(folder, "consuming") == 1


@pytest.mark.parametrize("started", ["redis://127.0.0.1:1/0"], indirect=True)
def test_a_worker_whose_broker_is_away_lives_and_does_not_consume_and_says_so_in_json(
    folder: Path, started: subprocess.Popen[bytes]
) -> None:
    @patiently
    def until_it_looks_for_its_broker() -> None:
        assert "Cannot connect to redis" in (folder / "log").read_text(encoding="utf-8")

    until_it_looks_for_its_broker()
    lines = [line for line in (folder / "log").read_text(encoding="utf-8").splitlines() if "Cannot connect" in line]
    assert "Cannot connect" in json.loads(lines[0])["message"]
    assert started.poll() is None
    assert (probe(folder, "alive", "10"), probe(folder, "consuming")) == (0, 1)


def test_a_worker_that_is_told_to_stop_while_it_is_imported_ends_at_once(folder: Path) -> None:
    """By a handler of its own: without one, the first process of a container goes on."""
    (folder / "app" / "worker.py").write_text("import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(60)\n", encoding="utf-8")
    with subprocess.Popen(command(folder), cwd=folder, env=surroundings(folder)) as process:

        @patiently
        def until_it_is_imported() -> None:
            assert (folder / "importing").exists()

        until_it_is_imported()
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_a_look_that_comes_late_does_not_say_that_a_worker_consumes_which_was_told_to_stop(folder: Path) -> None:
    """The main loop may look once more between the signal and its end."""
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        import worker
        from types import SimpleNamespace
        step = worker.ConsumingStep(None)
        step.timer, step.wanted = object(), {"a"}
        consumer = SimpleNamespace(task_consumer=SimpleNamespace(consuming_from=lambda queue: queue == "a"))
        step.note(consumer)
        before = worker.CONSUMING.exists()
        worker.unready()
        between = worker.CONSUMING.exists()
        step.note(consumer)
        print(before, between, worker.CONSUMING.exists())
    """
    environment = {**surroundings(folder), "PYTHONPATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", code, str(FILES)], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["True", "False", "False"]


def test_what_a_container_before_left_is_no_sign_of_life(folder: Path) -> None:
    assert probe(folder, "alive", "10") == 1
    (folder / "heartbeat").unlink()
    assert probe(folder, "alive", "10") == 1
