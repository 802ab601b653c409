"""What is derived from something else is fresh, and facts that stand in two places agree."""

import re
import tomllib
from pathlib import Path

import pytest

from celerylab.schemas import MODELS, schema_text
from celerylab.topology.module import load_module, module_folders
from celerylab.topology.names import project_name
from celerylab.topology.source import read_yaml
from celerylab.verify.run import check_published

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(module_folders(ROOT).values())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_published_schemas_are_fresh(name: str) -> None:
    assert (ROOT / "docs/schemas" / f"{name}.json").read_text(encoding="utf-8") == schema_text(name), "run scripts/generate"


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_the_hash_of_a_published_suite_is_fresh(folder: Path) -> None:
    check_published(folder)


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_a_module_takes_as_long_as_the_course_specification_says(folder: Path) -> None:
    module = load_module(folder)
    text = (ROOT / "docs/course-specification.md").read_text(encoding="utf-8")
    found = re.search(rf"^### Module {int(module.id)}: .*?\*\*Duration:\*\* (\d+) minutes", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert module.minutes == int(found[1])


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_a_module_s_pulumi_project_names_its_rung_and_itself(folder: Path) -> None:
    module, project = load_module(folder), read_yaml(folder / "Pulumi.yaml").data
    assert project["name"] == project_name(module.id)
    assert (folder / project["main"]).resolve() == ROOT / "stacks" / module.environment
    assert project["config"]["celerylab:module"]["value"] == module.id


def test_uv_is_pinned_once_for_the_project_and_for_its_bootstrap() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    version = next(line.removeprefix("uv==") for line in dependencies if line.startswith("uv=="))
    assert (ROOT / "tools/uv.txt").read_text(encoding="utf-8").startswith(f"uv=={version} ")


def test_pulumi_s_go_modules_are_of_the_sdk_s_release() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    version = next(line.removeprefix("pulumi==") for line in dependencies if line.startswith("pulumi=="))
    modules = (ROOT / "tools/go.mod").read_text(encoding="utf-8")
    for name in ("pkg", "sdk"):
        assert re.search(rf"github\.com/pulumi/pulumi/{name}/v3 v{re.escape(version)}\b", modules)


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in (ROOT / "docs/adr").glob("0*.md"))
    assert records
    assert [name for name in records if f"({name})" not in listed] == []


def test_links_between_our_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "modules").glob("*/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_files_stay_readable() -> None:
    """300 lines are what one can keep in mind; a longer file wants to be two."""
    long = {}
    for folder in ("src", "tests", "scripts", "roles", "stacks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".yml", ".sh", ""} and path.is_file() and "__pycache__" not in path.parts:
                lines = len(path.read_text(encoding="utf-8").splitlines())
                if lines > 300:
                    long[str(path.relative_to(ROOT))] = lines
    assert long == {}


def test_no_dispatch_is_left_out_of_the_commands_page() -> None:
    from typer.main import get_command

    from celerylab.cli.main import app

    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert f"`{name}" in page, f"docs/cli.md says nothing of `celerylab {name}`"
