"""What the roles say about themselves is true."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unit
ROLES = sorted(path.parent.parent for path in (Path(__file__).resolve().parents[2] / "roles").glob("*/tasks/main.yml"))


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(params=ROLES, ids=lambda path: path.name)
def role(request):
    return request.param


def test_there_are_roles():
    assert {role.name for role in ROLES} >= {"base", "redis", "rabbitmq", "celery_app", "celery_worker"}


def test_every_variable_is_described_and_has_a_default(role):
    described = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in described.items()} == load(role / "defaults" / "main.yml")
    assert all(name.startswith(f"{role.name}_") and option["type"] and option["description"] for name, option in described.items())


def test_what_is_baked_is_what_the_install_part_uses(role):
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((role / "tasks").glob("install*.yml")))
    named = [path for path in (role / "templates").glob("*") if path.name in text]
    text += "".join(path.read_text(encoding="utf-8") for path in named)
    # Variables of the role's own (vars/main.yml) stand for what they are made of.
    for name, value in (load(role / "vars" / "main.yml") if (role / "vars" / "main.yml").is_file() else {}).items():
        text += str(value) if name in text and name != "__celery_app_pip_requirements" else ""
    used = {name for name in specs["main"]["options"] if re.search(rf"\b{name}\b", text)}
    assert used == set(specs["install"]["options"])


def test_tables_in_the_readmes_are_fresh(root):
    result = subprocess.run([sys.executable, root / "scripts" / "roles-readme", "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"run scripts/roles-readme: {result.stdout}{result.stderr}"


def test_every_part_has_its_tag(role):
    for part in load(role / "tasks" / "main.yml"):
        assert f"{role.name}_{part['ansible.builtin.import_tasks'].removesuffix('.yml')}" in part["tags"]


def test_every_task_that_handles_a_password_is_silent(role):
    for path in (role / "tasks").glob("*.yml"):
        for task in load(path) or []:
            source = str(task.get("ansible.builtin.template", task.get("ansible.builtin.copy", "")))
            if re.search(r"users\.conf|celery\.env|definitions\.json|cookie|fragment", source):
                assert task.get("no_log") is True, f"{path.name}: {task['name']}"


def test_the_collection_has_the_projects_version(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert load(root / "galaxy.yml")["version"] == project["version"]


def test_lint_profile_production(root, ansible_environment):
    result = subprocess.run(
        ["ansible-lint", "--offline", "--nocolor", "-q"], cwd=root, env=ansible_environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
