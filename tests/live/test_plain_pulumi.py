"""Everything works with `pulumi` alone, in a shell that sourced activate, and celerylab sees the same stack."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from celerylab.providers.engine import left_behind
from tests.live.conftest import LiveStack, run


def in_shell(stack: LiveStack, root: Path, line: str, shell: str = "bash") -> subprocess.CompletedProcess[str]:
    """`line` in a new shell, in the module's folder, after `source ./activate`."""
    return run([shell, "-c", f"source {root}/activate && cd {stack.folder} && {line}"], root)


def test_a_stack_lives_and_dies_by_pulumi_alone(stack: LiveStack, root: Path) -> None:
    in_shell(stack, root, f"pulumi stack init {stack.name} && pulumi config set celerylab:lab solution")
    preview = in_shell(stack, root, "pulumi preview --diff --non-interactive").stdout
    assert "celerylab:Host: (create)" in preview
    assert "+ 12 to create" in preview
    assert left_behind(stack.instance) == []  # a preview makes nothing
    in_shell(stack, root, "pulumi up --yes --non-interactive")
    endpoints = json.loads(in_shell(stack, root, "pulumi stack output endpoints --json").stdout)
    status = json.loads(stack.celerylab("status", "--json").stdout)
    assert status["endpoints"] == endpoints
    assert status["hosts"]["node-1"]["state"] == "running"
    everywhere = {entry["instance"]: entry for entry in json.loads(run(["celerylab", "status", "--all", "--json"], root).stdout)}
    found = everywhere[stack.instance]
    assert (found["module"], found["stack"], found["expires"]) == ("02", stack.name, status["expires"])
    assert found["running"] == found["containers"] == 3
    assert "12 unchanged" in in_shell(stack, root, "pulumi refresh --yes --non-interactive").stdout
    assert "12 unchanged" in in_shell(stack, root, "pulumi preview --diff --non-interactive").stdout
    assert "12 unchanged" in in_shell(stack, root, "pulumi up --yes --non-interactive").stdout
    destroyed = in_shell(stack, root, "pulumi destroy --yes --non-interactive").stdout
    assert f"receipt: instance {stack.instance}, left behind: 0" in destroyed
    assert left_behind(stack.instance) == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_activate_works_in_every_shell_it_names(stack: LiveStack, root: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    assert in_shell(stack, root, "command -v pulumi celerylab", shell).returncode == 0


def test_what_carries_the_label_and_stays_fails_the_destroy_with_its_name(stack: LiveStack) -> None:
    """The receipt looks at Docker, not at the state: a volume that Pulumi knows nothing of is found."""
    from celerylab.providers.engine import engine
    from celerylab.topology.names import label

    stack.up()
    volume = engine().volumes.create(f"celerylab-{stack.instance}-stray", labels={label("instance"): stack.instance})
    result = stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert result.returncode != 0
    assert f"left behind: 1: volume celerylab-{stack.instance}-stray" in result.stdout + result.stderr
    volume.remove()
    stack.pulumi("destroy", "--yes", "--skip-preview")
    again = stack.pulumi("destroy", "--yes", "--skip-preview")
    assert again.returncode == 0  # destroying twice is harmless
