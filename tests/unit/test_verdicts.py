"""What a run of a suite may say: harness trouble never becomes a grade. Real pytest runs on a stack without hosts."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from celerylab.verify.clock import clock_problem
from celerylab.verify.results import ObjectiveResult, Results, Verdict
from celerylab.verify.run import start_suite, verify
from celerylab.verify.stack import Stack

MODULE = """
id: "02"
slug: try
title: Try
path: foundations
minutes: 1
environment: single-node
needs: {memory: 1MiB, disk: 1MiB}
verify_budget_seconds: 1
longest_task_seconds: 1
settings: {broker: {choices: [redis, rabbitmq], default: redis}}
objectives:
  - {id: "02.1", statement: first, weight: 20, look: look at one, hints: []}
  - {id: "02.2", statement: second, weight: 20, look: look at two, hints: [], needs: ["02.1"]}
  - {id: "02.3", statement: third, weight: 20, look: look at three, hints: [], applies_when: {broker: [rabbitmq]}}
"""
HEAD = """
import os, pytest
from celerylab.verify.expect import expect, wait_for, NotObservedError, BrokerUnreachableError
from celerylab.verify.plugin import objective
"""
FIRST = '@objective("02.1")\ndef test_one():\n'
SECOND = '@objective("02.2")\ndef test_two():\n    pass\n'


def project_in(folder: Path, root: Path) -> Path:
    """A project with one module and an empty suite."""
    (folder / "modules" / "02-try" / "verify").mkdir(parents=True)
    (folder / "modules" / "02-try" / "module.yaml").write_text(MODULE, encoding="utf-8")
    for room in ("environments", "roles"):
        (folder / room).symlink_to(root / room)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path):
    """Runs a suite given as text; returns its objectives by id."""
    folder = project_in(tmp_path, root) / "modules" / "02-try"
    monkeypatch.setenv("CELERYLAB_PROJECT", str(tmp_path))
    monkeypatch.setenv("CELERYLAB_DATA", str(tmp_path / "data"))

    def run_suite(text: str, **settings: str) -> dict[str, ObjectiveResult]:
        (folder / "verify" / "test_try.py").write_text(HEAD + textwrap.dedent(text), encoding="utf-8")
        results = results_of(settings)
        return {objective.id: objective for objective in results.objectives}

    def results_of(settings: dict[str, str]) -> Results:
        return verify(Stack("try", outputs(settings)), [])[0]

    run_suite.results_of = results_of  # type: ignore[attr-defined]
    return run_suite


def outputs(settings: dict[str, str]) -> dict[str, object]:
    return {
        "module": "02",
        "instance": "0123456789",
        "owner": "me",
        "settings": {"broker": "redis", **settings},
        "lab": {"source": "lab", "digest": "0"},
        "hosts": {},
        "endpoints": {},
        "secrets": {"ledger_token": "t"},
    }


CASES = {
    # objective: (its check, verdict, words of what was observed or of the cause)
    "02.1": ("expect(1 + 1 == 2, observed=2, expected='two')", Verdict.PASS, ""),
    "02.2": ("expect(False, observed='red', expected='green', look='paint', shade=3)", Verdict.FAIL, "red"),
    "02.3": ("wait_for(lambda: None, 0.1, observed='red', expected='green', look='paint')", Verdict.FAIL, "red within 0.1 s"),
    "02.4": ("assert 1 == 2", Verdict.FAIL, "assert 1 == 2"),
    "02.5": ("raise BrokerUnreachableError('refused')", Verdict.FAIL, "refused"),
    "02.6": ("raise RuntimeError('oh')", Verdict.NOT_OBSERVED, "RuntimeError: oh"),
    "02.7": ("raise NotObservedError('host node-1 did not answer')", Verdict.NOT_OBSERVED, "host node-1 did not answer"),
    "02.8": ("pytest.skip('no time')", Verdict.NOT_OBSERVED, "no time"),
    "02.9": ("request.getfixturevalue('broken')", Verdict.NOT_OBSERVED, "crash"),
    "02.10": ("request.getfixturevalue('late')", Verdict.NOT_OBSERVED, "too late"),
    "02.11": ("pass", Verdict.NOT_OBSERVED, "needs 02.10"),
    "02.12": ("expect(False, observed='red', expected='green')", Verdict.FAIL, "red"),
}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory, root: Path) -> dict[str, ObjectiveResult]:
    """All of CASES in one run."""
    head, _ = MODULE.split("objectives:\n")
    lines = [
        f'  - {{id: "{key}", statement: s, weight: 1, look: look here, hints: [], needs: [{"" if key != "02.11" else repr("02.10")}]}}\n'
        for key in CASES
    ]
    checks = [
        f"@objective('{key}')\ndef test_{key.replace('.', '_')}({'broken' if key == '02.9' else 'late' if key == '02.10' else ''}):\n    "
        + (body if not body.startswith("request") else "pass")
        + "\n"
        for key, (body, _, _) in CASES.items()
    ]
    fixtures = (
        "@pytest.fixture\ndef broken():\n    assert False, 'crash'\n"
        "@pytest.fixture\ndef late():\n    yield\n    raise OSError('too late')\n"
        "@objective('02.12')\ndef test_crash_after_failure():\n    raise OSError('later')\n"
    )
    project = project_in(tmp_path_factory.mktemp("decided"), root)
    (project / "modules/02-try/module.yaml").write_text(head + "objectives:\n" + "".join(lines), encoding="utf-8")
    (project / "modules/02-try/verify/test_try.py").write_text(HEAD + fixtures + "".join(checks), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERYLAB_PROJECT", str(project))
        patch.setenv("CELERYLAB_DATA", str(project / "data"))
        results, _ = verify(Stack("try", outputs({})), [])
    return {objective.id: objective for objective in results.objectives}


@pytest.mark.parametrize(("key", "verdict", "words"), [(key, verdict, words) for key, (_, verdict, words) in CASES.items()])
def test_trouble_of_the_harness_is_never_a_grade(decided: dict[str, ObjectiveResult], key: str, verdict: Verdict, words: str) -> None:
    objective = decided[key]
    assert objective.verdict is verdict
    assert words in (objective.observed if verdict is Verdict.FAIL else objective.cause)


def test_a_failure_carries_what_a_learner_needs(decided: dict[str, ObjectiveResult]) -> None:
    assert (decided["02.2"].expected, decided["02.2"].look, decided["02.2"].evidence) == ("green", "paint", {"shade": 3})
    assert decided["02.4"].look == "look here"  # the module's, where the check has none


@pytest.mark.parametrize(
    ("suite", "cause"),
    [
        (FIRST + "    os._exit(0)\n" + SECOND, "the run was ended before it was decided"),
        (FIRST + "    import signal; os.kill(os.getpid(), signal.SIGKILL)\n" + SECOND, "the run was ended before it was decided"),
        ("", "no check of this objective was collected"),
        ("def (:\n", "no check of this objective was collected"),
        ("def test_stray():\n    pass\n" + FIRST + "    pass\n" + SECOND, "no check of this objective was collected"),
        (SECOND, "no check of this objective was collected"),
    ],
    ids=["exit", "killed", "empty", "syntax", "stray", "missing"],
)
def test_a_run_that_was_cut_short_decides_nothing(run, suite: str, cause: str) -> None:
    objectives = run(suite)
    assert objectives["02.1"].verdict is Verdict.NOT_OBSERVED
    assert cause in objectives["02.1"].cause
    assert all(objective.verdict is not Verdict.PASS for objective in objectives.values())


def test_a_clock_that_stands_still_decides_nothing(run) -> None:
    frozen = "import time\ntime.monotonic = lambda: 1000.0\n"
    body = "    import threading; threading.Event().wait(2.5)\n"
    objectives = run(frozen + FIRST + body + SECOND)
    assert {objective.verdict for objective in objectives.values()} == {Verdict.NOT_OBSERVED}
    assert "the clock of the run did not keep time: 0.0 s passed there" in objectives["02.1"].cause


def test_a_machine_that_slept_decides_nothing() -> None:
    events = [
        {"clock": {"monotonic": 5.0, "asleep": 0.0}, "heard": {"monotonic": 5.1, "asleep": 0.0}},
        {"clock": {"monotonic": 9.0, "asleep": 0.0}, "heard": {"monotonic": 9.1, "asleep": 600.0}},
    ]
    assert clock_problem(events) == "the machine slept for 600 s during the run; verify again"
    events[1]["heard"]["asleep"] = 0.5
    assert clock_problem(events) is None


def test_an_objective_that_does_not_apply_is_out_of_the_run(run) -> None:
    third = '@objective("02.3")\ndef test_three():\n    pass\n'
    assert set(run(FIRST + "    pass\n" + SECOND + third)) == {"02.1", "02.2"}
    assert set(run(FIRST + "    pass\n" + SECOND + third, broker="rabbitmq")) == {"02.1", "02.2", "02.3"}


def test_a_run_of_some_objectives_is_no_pass_of_the_module(run) -> None:
    run(FIRST + "    pass\n" + SECOND)
    results, _ = verify(Stack("try", outputs({})), ["02.2"])
    assert [objective.id for objective in results.objectives] == ["02.2"]
    assert results.objectives[0].verdict is Verdict.PASS
    assert not results.passed


def test_a_suite_that_was_started_early_decides_once_it_is_given_the_stack(run, tmp_path: Path) -> None:
    run(FIRST + "    pass\n" + SECOND)
    stack = Stack("try", outputs({}))
    with start_suite(stack.module_folder, "early", ["02.1"]) as suite:
        results, folder = verify(stack, ["02.1"], suite=suite)
    assert [(objective.id, objective.verdict) for objective in results.objectives] == [("02.1", Verdict.PASS)]
    assert folder == suite.folder


def test_a_suite_that_never_got_a_stack_leaves_nothing(run) -> None:
    run(FIRST + "    pass\n" + SECOND)
    with start_suite(Stack("try", outputs({})).module_folder, "early", []) as suite:
        assert suite.folder.is_dir()
    assert not suite.folder.exists()
    assert children_of_this_process() == []


def children_of_this_process() -> list[str]:
    me = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not me.exists():
        pytest.skip("this kernel does not list the children of a process")
    return [pid for pid in me.read_text(encoding="ascii").split() if "celerylab-stack" in Path(f"/proc/{pid}/cmdline").read_text("utf-8")]


def test_an_edited_suite_says_so(run) -> None:
    run(FIRST + "    pass\n" + SECOND)
    assert not run.results_of({}).fingerprint.suite_published


def test_results_are_written_and_fit_their_schema(run, root: Path, tmp_path: Path) -> None:
    import jsonschema

    run(FIRST + "    expect(False, observed='red', expected='green')\n" + SECOND)
    written = json.loads(next((tmp_path / "data" / "results").rglob("results.json")).read_text(encoding="utf-8"))
    jsonschema.validate(written, json.loads((root / "docs/schemas/results.json").read_text(encoding="utf-8")))
    assert written["schema"] == "celerylab/results/1"


def test_an_interrupted_run_undoes_its_fault(run, tmp_path: Path) -> None:
    """Ctrl-C: the fault's context manager ends, and the parent ends with it."""
    body = f"""
        import time
        try:
            open({str(tmp_path / "began")!r}, "w").close()
            time.sleep(60)
        finally:
            open({str(tmp_path / "healed")!r}, "w").close()
    """
    (tmp_path / "modules/02-try/verify/test_try.py").write_text(
        HEAD + FIRST + textwrap.indent(textwrap.dedent(body), "    "), encoding="utf-8"
    )
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from celerylab.verify.run import verify; from celerylab.verify.stack import Stack\n"
        f"verify(Stack('try', {outputs({})!r}), [])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, env=dict(os.environ))
    deadline = time.monotonic() + 120
    while not (tmp_path / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert (tmp_path / "healed").exists()
    assert not list((tmp_path / "data").rglob("results.json"))
