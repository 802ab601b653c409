"""The image of a Celery application for Kubernetes, and how nodes that have no registry get it."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from celerylab.converge.wheelhouse import Interpreter, wheelhouse
from celerylab.digest import digest_file, digest_json, digest_tree
from celerylab.errors import EngineError
from celerylab.images.bake import bake_dockerfile, build_folder
from celerylab.images.recipe import dockerfile_recipe
from celerylab.providers.engine import engine, engine_errors

_NOISE = {"__pycache__"}


def application_reference(root: Path, code: Sequence[Path], requirements: Path) -> str:
    """What the image of `code` and `requirements` is called: its tag is a hash of all that is in it. Builds nothing."""
    recipes = [dockerfile_recipe(root, name).reference for name in ("application", "python")]
    parts = [*recipes, digest_file(requirements), *(digest_tree(folder, ignore=_NOISE) for folder in code)]
    return f"celerylab.local/application:{digest_json(parts)[:12]}"


def build_application(root: Path, code: Sequence[Path], requirements: Path, say: Callable[[str], None]) -> str:
    """Builds an image of the folders `code`, of which each one's content is importable (a package as a whole), and `requirements`; returns its
    reference.

    What did not change is not built. Raises EngineError where Docker cannot, InputError where the requirements cannot be satisfied.
    """
    reference = application_reference(root, code, requirements)
    if engine().images.list(reference):
        return reference
    base = bake_dockerfile(root, "python", say)
    wheels = wheelhouse(requirements.read_text(encoding="utf-8"), _interpreter(base))
    with tempfile.TemporaryDirectory(prefix="celerylab-image-") as context:
        shutil.copy(Path(root, "environments", "images", "application", "Dockerfile"), context)
        shutil.copy(requirements, Path(context, "requirements.txt"))
        shutil.copytree(wheels, Path(context, "wheels"))
        for folder in code:
            target = Path(context, "app", folder.name) if (folder / "__init__.py").is_file() else Path(context, "app")
            shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_NOISE))
        with engine_errors(f"building {reference}"):
            build_folder(Path(context), reference, {"BASE": base}, "application", say)
    return reference


def load_image(reference: str, nodes: Sequence[str]) -> None:
    """Puts an image of this machine into the containerd of those of `nodes` (containers) that lack it.

    Raises EngineError naming the node that refuses it.
    """
    with ThreadPoolExecutor(4) as pool:
        there = list(pool.map(lambda node: _is_in(node, reference), nodes))
    nodes = [node for node, known in zip(nodes, there, strict=True) if not known]
    if not nodes:
        return
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        _run(["docker", "save", "--output", archive.name, reference], f"saving {reference}")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda node: _import(archive.name, node, reference), nodes))


def name_in(registry: str, reference: str) -> str:
    """What the image `reference` of this machine is called in `registry`; itself where that is empty."""
    return f"{registry}/{reference.removeprefix('celerylab.local/')}" if registry else reference


def push_image(reference: str, registry: str) -> None:
    """Pushes an image of this machine to `registry`, as the user that `docker login` made known there. Raises EngineError where it refuses."""
    name = name_in(registry, reference)
    with engine_errors(f"pushing {name}"):
        engine().images.get(reference).tag(name)
        try:
            for line in engine().images.push(name, stream=True, decode=True):
                if "error" in line:
                    raise EngineError(f"pushing {name}: {line['error'].strip()}")
        finally:
            engine().images.remove(name)  # the second name alone


def _is_in(node: str, reference: str) -> bool:
    """Whether the containerd of `node` has an image under this name, which says what is in it."""
    registry = reference.partition("/")[0]
    whole = reference if set(".:") & set(registry) else f"docker.io/{reference}"  # as containerd writes a name without a registry
    return bool(_run([*_ctr(node), "images", "list", "--quiet", f"name=={whole}"], f"asking {node} for its images").strip())


def _import(archive: str, node: str, reference: str) -> None:
    with Path(archive).open("rb") as file:
        _run(
            [*_ctr(node), "images", "import", "-"],
            f"loading {reference} into {node}",
            file,
        )


def _ctr(node: str) -> list[str]:
    return ["docker", "exec", "--interactive", node, "ctr", "--namespace", "k8s.io"]


def _run(command: list[str], doing: str, stdin: object = subprocess.DEVNULL) -> str:
    result = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)  # type: ignore[call-overload]
    if result.returncode != 0:
        raise EngineError(f"{doing}: {result.stderr.strip()}")
    return str(result.stdout)


def _interpreter(image: str) -> Interpreter:
    with engine_errors(f"asking {image} for its Python"):
        return Interpreter.ask(lambda command: engine().containers.run(image, command, remove=True, network_mode="none").decode())
