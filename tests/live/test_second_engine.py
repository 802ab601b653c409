"""An engine that restarts under a stack, and one whose disk fills up: on a second engine, so that nobody else notices."""

import json
import os
import shutil
from pathlib import Path

import pytest

from celerylab.converge.wheelhouse import Interpreter
from celerylab.images.bake import wheelhouses
from celerylab.images.recipe import recipes
from celerylab.providers.engine import engine
from celerylab.topology.names import label
from celerylab.topology.plan import make_plan
from tests.live.conftest import run
from tests.live.second_engine import SecondEngine


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short path: a Unix socket's name has 107 characters at the most."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="cl-"))


def test_a_stack_survives_a_restart_of_its_engine(root: Path, short: Path) -> None:
    references = [recipe.reference for recipe in recipes(make_plan(root, "02", {"lab": "solution"}))]
    with SecondEngine(short, "2g") as second:
        second.copy_images(references)
        environment = {**os.environ, **second.environment}

        def celerylab(*arguments: str, check: bool = True):
            return run([*second.enter, "celerylab", *arguments, "--stack", "second"], root, check, env=environment)

        try:
            celerylab("up", "02", "--lab", "solution")
            before = json.loads(celerylab("status", "02", "--json").stdout)
            second.stop()
            gone = celerylab("verify", "02", "-o", "02.2", check=False)
            assert gone.returncode == 8, gone.stdout  # nothing can be observed, and nothing is graded
            second.start()
            after = json.loads(celerylab("status", "02", "--json").stdout)
            assert after["endpoints"] == before["endpoints"]
            assert after["hosts"] == before["hosts"]
            results = json.loads(celerylab("verify", "02", "--json", "-o", "02.2").stdout)
            assert results["objectives"][-1]["verdict"] == "PASS"
            assert (
                "12 unchanged"
                in run(
                    [*second.enter, "pulumi", "up", "--yes", "--skip-preview", "--refresh", "--stack", "second", "--non-interactive"],
                    root / "modules/02-first-application",
                    env=environment,
                ).stdout
            )
            assert "left behind: 0" in celerylab("down", "02", "--remove").stdout
        finally:
            celerylab("down", "02", "--force", check=False)
            (root / "modules/02-first-application/Pulumi.second.yaml").unlink(missing_ok=True)


def test_a_disk_that_fills_up_while_baking(root: Path, tmp_path: Path, short: Path) -> None:
    """The role that bakes writes more than the disk holds. One clear line, no container, no image; with room it goes on."""
    project = tmp_path / "project"
    shutil.copytree(
        root, project, ignore=shutil.ignore_patterns("lab", "__pycache__", ".git", ".venv", ".tools", ".mypy_cache", ".ruff_cache")
    )
    install = project / "roles" / "base" / "tasks" / "install.yml"
    greedy = (
        "---\n- name: Fill the disk\n  ansible.builtin.command: dd if=/dev/zero of=/var/lib/greedy bs=1M count=4000\n  changed_when: true\n"
    )
    install.write_text(greedy + install.read_text(encoding="utf-8").removeprefix("---\n"), encoding="utf-8")
    plan = make_plan(root, "02", {"lab": "solution"})
    bare, support = (recipe.reference for recipe in recipes(plan) if not recipe.roles)
    # The second engine has no way out, and where all images were there nobody has downloaded wheels before.
    (baked,) = (recipe for recipe in recipes(plan) if recipe.roles)
    labels = engine().images.get(baked.reference).labels
    wheelhouses(plan, baked, Interpreter(labels[label("python")], labels[label("machine")]))
    with SecondEngine(short, "1200m") as second:
        second.copy_images([bare, support])
        images = {image.id for image in second.client.images.list()}
        environment = {**os.environ, **second.environment, "CELERYLAB_PROJECT": str(project)}
        result = run(
            [*second.enter, "celerylab", "up", "02", "--stack", "full", "--lab", "solution"], project, check=False, env=environment
        )
        assert result.returncode == 3
        line = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
        assert "the disk of Docker filled up" in line
        assert "nothing half-made stays" in line
        assert "celerylab images prune" in line
        assert second.client.containers.list(all=True) == []
        assert {image.id for image in second.client.images.list()} == images
    if os.environ.get("CELERYLAB_BAD_DAYS"):
        with Path(os.environ["CELERYLAB_BAD_DAYS"]).open("a", encoding="utf-8") as file:
            file.write(f"disk full while baking: {line}\n")
