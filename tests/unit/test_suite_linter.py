"""Each shape that the linter refuses, and the honest check beside it."""

from pathlib import Path

import pytest

from celerylab.paths import project_root
from celerylab.proof.suite_linter import lint_suite, lint_text
from celerylab.topology.module import module_folders

# rule: (refused, honest)
SHAPES = {
    "no-assertion": (
        "    node.run('systemctl is-active celery')",
        "    state = node.run('systemctl is-active celery').stdout\n    expect(state == 'active', observed=state, expected='active')",
    ),
    "no-assertion (a constant)": (
        "    expect(True, observed='well', expected='well')",
        "    expect(worker.names(), observed='no worker', expected='a worker')",
    ),
    "no-assertion (a helper that says nothing)": (
        "    look(node)\n\ndef look(node):\n    return node.run('true')",
        "    look(node)\n\ndef look(node):\n    wait_for(node.ready, 5, expected='a host that is ready')",
    ),
    "vacuous-universal": (
        "    owners = node.owners()\n    expect(all(owner != 'root' for owner in owners), observed=owners, expected='no root')",
        "    owners = node.owners()\n    expect(owners and all(owner != 'root' for owner in owners), observed=owners, expected='no root')",
    ),
    "vacuous-universal (not any)": (
        "    files = node.files()\n    expect(not any(f.mode for f in files.values()), observed=0, expected='private')\n    assert node.up()",
        "    files = node.files()\n    assert len(files) == 2\n    expect(not any(f.mode for f in files.values()), observed=0, expected='private')",
    ),
    "absence-never-shown": (
        "    log = node.log()\n    expect('secret' not in log, observed=log, expected='no secret')",
        "    log = node.log()\n    assert 'ready' in log\n    expect('secret' not in log, observed=log, expected='no secret')",
    ),
    "absence-never-shown (an empty list)": (
        "    expect(node.leaks() == [], observed='leaks', expected='none')",
        "    assert node.planted() == ['canary']\n    expect(node.leaks() == [], observed='leaks', expected='none')",
    ),
    "exit-code-of-a-pipe": (
        "    assert node.run('ps aux | grep celery').rc == 0",
        "    assert 'celery' in node.check_output(\"ps -eo args --format 'a|b'\")",
    ),
    "exit-code-of-a-pipe (echo)": (
        "    assert node.run('systemctl is-active celery; echo $?').rc == 0",
        "    assert node.run('systemctl is-active celery').rc == 0",
    ),
    "any-failure-counts": (
        "    assert node.up()\n    assert node.run('redis-cli ping').rc != 0",
        "    assert node.up()\n    assert 'NOAUTH' in node.run('redis-cli ping').stdout",
    ),
    "any-failure-counts (succeeded)": (
        "    assert node.up()\n    expect(not node.run('nc -z broker 6379').succeeded, observed='open', expected='closed')",
        "    assert node.up()\n    expect(node.run('nc -z broker 6379').rc == 1, observed='open', expected='closed')",
    ),
    "bare-sleep": (
        "    time.sleep(5)\n    assert worker.names()",
        "    while time.monotonic() < deadline and not worker.names():\n        time.sleep(0.2)\n    assert worker.names()",
    ),
    "broad-except": (
        "    try:\n        worker.send('x')\n    except Exception:\n        pass\n    assert worker.names()",
        "    try:\n        worker.send('x')\n    except BrokerUnreachableError:\n        pass\n    assert worker.names()",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_vacuous_shape_is_refused_and_the_honest_one_is_not(shape: str) -> None:
    head = '@objective("02.1")\ndef test_it(node, worker):\n'
    refused, honest = SHAPES[shape]
    assert [finding.rule for finding in lint_text(head + refused, Path("test_it.py"))] == [shape.split(" (")[0]]
    assert lint_text(head + honest, Path("test_it.py")) == []


def test_a_finding_names_file_line_rule_and_what_to_do() -> None:
    [finding] = lint_text("def helper():\n    time.sleep(3)\n", Path("verify/test_it.py"))
    assert str(finding).startswith("test_it.py:2: bare-sleep: ")
    assert "wait_for" in finding.message


@pytest.mark.parametrize("folder", module_folders(project_root()).values(), ids=lambda folder: folder.name)
def test_no_published_suite_has_one(folder: Path) -> None:
    assert [str(finding) for finding in lint_suite(folder / "verify")] == []
