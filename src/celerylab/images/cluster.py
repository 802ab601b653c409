"""Makes the images that a local cluster's nodes bring along, as archives.

Made of our own programs or pulled, they have the names that kubeadm and the manifests ask for, so that nothing else knows the difference.
"""

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docker.errors import APIError, BuildError

from celerylab.errors import EngineError
from celerylab.images.bake import bake_dockerfile
from celerylab.providers.engine import engine, engine_errors
from celerylab.topology.cluster_parts import ClusterImage, programs_folder


def save_archive(root: Path, image: ClusterImage, say: Callable[[str], None]) -> None:
    """Makes the archive of `image` unless it is there: of our own programs where scripts/toolchain built them, else of what a registry has.

    Raises EngineError where neither can be had.
    """
    if image.archive.is_file():
        return
    with engine_errors(f"making the image {image.name}"):
        if programs_folder(root).is_dir():
            _build(root, image, say)
        else:
            _pull(image, say)
        say(f"{image.name}: saving")
        _save(image)


def _pull(image: ClusterImage, say: Callable[[str], None]) -> None:
    for reference in image.references:
        say(f"{image.name}: pulling {reference}")
        try:
            engine().images.pull(*reference.rsplit(":", 1))
        except APIError:
            raise EngineError(
                f"{reference} cannot be pulled; connect to its registry, or build it with `scripts/toolchain kubernetes`"
            ) from None


def _build(root: Path, image: ClusterImage, say: Callable[[str], None]) -> None:
    say(f"{image.name}: making it")
    base = bake_dockerfile(root, image.base, say) if image.base else "scratch"
    built = _with_program(image, programs_folder(root) / image.program, base) if image.program else engine().images.get(base)
    for reference in image.references:
        built.tag(*reference.rsplit(":", 1))


def _with_program(image: ClusterImage, program: Path, base: str) -> Any:
    lines = [f"FROM {base}", "COPY root /", f"USER {image.user}", f'ENTRYPOINT ["{image.paths[0]}"]']
    context = _context("\n".join(lines), program, image.paths)
    try:
        built, _ = engine().images.build(fileobj=context, custom_context=True, rm=True, forcerm=True)
    except BuildError as error:
        raise EngineError(f"making the image {image.name}: {error.msg}") from None
    return built


def _context(dockerfile: str, program: Path, paths: tuple[str, ...]) -> io.BytesIO:
    """What Docker builds of: the Dockerfile, and below root/ the program at the first of `paths` and links to it at the others."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        recipe = tarfile.TarInfo("Dockerfile")
        recipe.size = len(dockerfile.encode())
        archive.addfile(recipe, io.BytesIO(dockerfile.encode()))
        member = tarfile.TarInfo(f"root{paths[0]}")
        member.size, member.mode = program.stat().st_size, 0o755
        with program.open("rb") as file:
            archive.addfile(member, file)
        for path in paths[1:]:
            link = tarfile.TarInfo(f"root{path}")
            link.type, link.linkname = tarfile.SYMTYPE, paths[0]
            archive.addfile(link)
    buffer.seek(0)
    return buffer


def _save(image: ClusterImage) -> None:
    image.archive.parent.mkdir(exist_ok=True)
    unfinished = image.archive.with_suffix(".part")
    # The SDK saves one name; of several, archives hold their layers once.
    result = subprocess.run(["docker", "save", "--output", str(unfinished), *image.references], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise EngineError(f"saving the image {image.name}: {result.stderr.strip()}")
    unfinished.rename(image.archive)


def can_pull(image: ClusterImage) -> bool:
    """Whether a registry gives us `image`; it is here afterwards."""
    try:
        _pull(image, lambda _: None)
    except EngineError:
        return False
    return True
