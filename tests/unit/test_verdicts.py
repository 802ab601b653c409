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

from celerylab.verify.results import ObjectiveResult, Results, Verdict
from celerylab.verify.run import verify
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


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path):
    """Runs a suite given as text; returns its objectives by id."""
    folder = tmp_path / "modules" / "02-try"
    (folder / "verify").mkdir(parents=True)
    (folder / "module.yaml").write_text(MODULE, encoding="utf-8")
    for room in ("environments", "roles"):
        (tmp_path / room).symlink_to(root / room)
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


def test_a_check_that_holds_is_a_pass(run) -> None:
    objectives = run(FIRST + "    expect(1 + 1 == 2, observed=2, expected='two')\n" + SECOND)
    assert {key: value.verdict for key, value in objectives.items()} == {"02.1": Verdict.PASS, "02.2": Verdict.PASS}


@pytest.mark.parametrize(
    ("body", "observed"),
    [
        ("expect(False, observed='red', expected='green', look='paint', shade=3)", "red"),
        ("wait_for(lambda: None, 0.1, observed='red', expected='green', look='paint', shade=3)", "red within 0.1 s"),
    ],
)
def test_an_observed_value_that_is_wrong_is_a_fail(run, body: str, observed: str) -> None:
    objectives = run(FIRST + f"    {body}\n" + SECOND)
    first = objectives["02.1"]
    assert (first.verdict, first.observed, first.expected, first.look) == (Verdict.FAIL, observed, "green", "paint")
    assert first.evidence == {"shade": 3}
    assert objectives["02.2"].verdict is Verdict.NOT_OBSERVED
    assert objectives["02.2"].cause == "needs 02.1"


def test_a_bare_assertion_is_a_fail_and_the_module_says_where_to_look(run) -> None:
    first = run(FIRST + "    assert 1 == 2\n" + SECOND)["02.1"]
    assert first.verdict is Verdict.FAIL
    assert first.look == "look at one"


def test_a_broker_that_does_not_answer_is_a_fail(run) -> None:
    assert run(FIRST + "    raise BrokerUnreachableError('refused')\n" + SECOND)["02.1"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("suite", "cause"),
    [
        (FIRST + "    raise RuntimeError('oh')\n" + SECOND, "RuntimeError: oh"),
        (FIRST + "    raise NotObservedError('host node-1 did not answer')\n" + SECOND, "host node-1 did not answer"),
        (FIRST + "    pytest.skip('no time')\n" + SECOND, "no time"),
        ("@pytest.fixture\ndef broken():\n    assert False, 'crash'\n" + FIRST.replace("()", "(broken)") + "    pass\n" + SECOND, "crash"),
        (
            "@pytest.fixture\ndef late():\n    yield\n    raise OSError('late')\n" + FIRST.replace("()", "(late)") + "    pass\n" + SECOND,
            "late",
        ),
        (FIRST + "    os._exit(0)\n" + SECOND, "the run was ended before it was decided"),
        (FIRST + "    import signal; os.kill(os.getpid(), signal.SIGKILL)\n" + SECOND, "the run was ended before it was decided"),
        ("", "no check of this objective was collected"),
        ("def (:\n", "no check of this objective was collected"),
        ("def test_stray():\n    pass\n" + FIRST + "    pass\n" + SECOND, "no check of this objective was collected"),
        (SECOND, "no check of this objective was collected"),
    ],
)
def test_trouble_of_the_harness_is_never_a_grade(run, suite: str, cause: str) -> None:
    objectives = run(suite)
    assert objectives["02.1"].verdict is Verdict.NOT_OBSERVED
    assert cause in objectives["02.1"].cause
    assert all(objective.verdict is not Verdict.PASS for objective in objectives.values())


def test_a_failure_is_not_hidden_by_a_later_crash(run) -> None:
    suite = FIRST + "    expect(False, observed='red', expected='green')\n" + '@objective("02.1")\ndef test_three():\n    raise OSError\n'
    assert run(suite + SECOND)["02.1"].verdict is Verdict.FAIL


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
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (tmp_path / "healed").exists()
    assert not list((tmp_path / "data").rglob("results.json"))
