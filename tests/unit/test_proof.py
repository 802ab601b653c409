"""What a proof asks of each variant, when it is stale, and what is refused before anything is deployed."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from celerylab.cli.prove import prove, share_of_today, static_problems
from celerylab.errors import EngineError, InputError
from celerylab.paths import project_root
from celerylab.proof.contract import Problem, Variant, coverage_problems, problems, variants
from celerylab.proof.progress import ProgressFile
from celerylab.proof.record import PROOF, ProvedRun, Seconds, load_proof, make_proof, module_hash, staleness
from celerylab.proof.run import placed
from celerylab.topology.module import CourseModule, load_module, module_folders
from celerylab.topology.variants import load_mutants
from celerylab.verify.results import Fingerprint, ObjectiveResult, Results, Verdict

MODULE = CourseModule.model_validate(
    {
        "id": "02",
        "slug": "try",
        "title": "t",
        "path": "foundations",
        "minutes": 1,
        "environment": "single-node",
        "needs": {"memory": "1MiB", "disk": "1MiB"},
        "verify_budget_seconds": 1,
        "longest_task_seconds": 1,
        "settings": {"broker": {"choices": ["redis", "rabbitmq"], "default": "redis"}},
        "objectives": [
            {"id": "02.1", "statement": "s", "weight": 50, "look": "l", "hints": [], "needs": ["02.2"]},
            {"id": "02.2", "statement": "s", "weight": 50, "look": "l", "hints": []},
            {"id": "02.3", "statement": "s", "weight": 0, "level": "stretch", "look": "l", "hints": []},
        ],
    }
)
CAUSES = {"n": "needs 02.2", "h": "host node-1 did not answer"}
VERDICTS = {"P": Verdict.PASS, "F": Verdict.FAIL, "n": Verdict.NOT_OBSERVED, "h": Verdict.NOT_OBSERVED}


def results(letters: str, complete: bool = True, published: bool = True) -> Results:
    """Verdicts of 02.1, 02.2, 02.3 as letters: Pass, Fail, not observed because of a need (n) or of the harness (h)."""
    objectives = [
        ObjectiveResult(
            id=f"02.{number}",
            verdict=VERDICTS[letter],
            weight=1,
            level="core",
            seconds=1,
            statement="s",
            observed="o",
            cause=CAUSES.get(letter, ""),
        )
        for number, letter in enumerate(letters, start=1)
    ]
    fingerprint = Fingerprint(suite="s", suite_published=published, lab="l", images={}, celery="5", celerylab="0")
    return Results(
        schema="celerylab/results/1", run="r", module="02", stack="s", owner="o", lab="l", settings={}, started=datetime.now(UTC), seconds=1,
        complete=complete, objectives=objectives, fingerprint=fingerprint,
    )  # fmt: skip


def texts(variant: Variant, found: Results) -> list[str]:
    return [f"{problem.objective} {problem.text}".strip() for problem in problems(variant, found, MODULE)]


STARTER, SOLUTION, CONTROL = Variant("starter", "starter"), Variant("solution", "solution"), Variant("control", "mutants/c")
FIRST, SECOND = Variant("mutant", "mutants/a", fails=("02.1",)), Variant("mutant", "mutants/b", fails=("02.2",))


@pytest.mark.parametrize(
    ("variant", "letters"),
    [(STARTER, "nFF"), (STARTER, "FFF"), (SOLUTION, "PPP"), (CONTROL, "PPP"), (FIRST, "FPP"), (SECOND, "nFP")],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_what_proves(variant: Variant, letters: str) -> None:
    assert texts(variant, results(letters)) == []


@pytest.mark.parametrize(
    ("variant", "letters", "words"),
    [
        (STARTER, "nFP", "02.3 is PASS on the untouched starter"),
        (STARTER, "nnn", "no objective is FAIL on the untouched starter"),
        (STARTER, "hFF", "02.1 is NOT_OBSERVED: host node-1 did not answer"),
        (SOLUTION, "PPF", "02.3 is FAIL, not PASS: o"),
        (SOLUTION, "PPh", "02.3 is NOT_OBSERVED: host node-1 did not answer"),
        (CONTROL, "FPP", "02.1 is FAIL, not PASS: o"),
        (FIRST, "PPP", "02.1 is PASS, not FAIL: o"),  # survived
        (FIRST, "FPF", "02.3 is FAIL, not PASS: o"),  # kills too much
        (FIRST, "hPP", "02.1 is NOT_OBSERVED: host node-1 did not answer"),  # trouble of the harness is no kill
        (FIRST, "nFP", "02.2 is FAIL, not PASS: o"),  # failed for another reason
        (SECOND, "FFP", "02.1 is FAIL, not NOT_OBSERVED: o"),
    ],
)
def test_what_does_not(variant: Variant, letters: str, words: str) -> None:
    assert words in texts(variant, results(letters))


def test_a_partial_run_or_an_edited_suite_proves_nothing() -> None:
    assert texts(SOLUTION, results("PPP", complete=False)) == ["the run did not decide every applicable objective"]
    assert texts(SOLUTION, results("PPP", published=False)) == ["verify/ is not the published suite: run scripts/generate"]


def test_a_mutant_of_an_objective_that_does_not_apply_is_an_error() -> None:
    assert "02.3 does not apply" in texts(Variant("mutant", "m", fails=("02.3",)), results("PP"))[0]


def test_every_objective_needs_mutants_and_a_core_one_two() -> None:
    assert [f"{problem.objective} {problem.text}" for problem in coverage_problems(MODULE, [FIRST, FIRST, SECOND])] == [
        "02.2 is in `fails:` of 1 mutants; write at least 2",
        "02.3 is in `fails:` of 0 mutants; write at least 1",
    ]


@pytest.fixture
def module_copy(tmp_path: Path, module_02: Path) -> Path:
    return Path(shutil.copytree(module_02, tmp_path / module_02.name, ignore=shutil.ignore_patterns("lab", "Pulumi.t*.yaml")))


def test_variants_cover_every_setting_and_mutants_run_on_the_defaults(module_copy: Path) -> None:
    found = variants(module_copy, load_module(module_copy))
    assert [(variant.kind, dict(variant.settings)) for variant in found if variant.kind in ("starter", "solution")] == [
        ("starter", {}),
        ("solution", {}),
        ("starter", {"broker": "rabbitmq"}),
        ("solution", {"broker": "rabbitmq"}),
    ]
    assert {tuple(variant.settings) for variant in found if variant.kind in ("mutant", "control")} == {()}
    assert [variant for variant in found if variant.kind == "control"]


def test_a_mutant_that_names_no_objective_of_the_module_is_refused(module_copy: Path) -> None:
    (module_copy / "mutants" / "slow-restart" / "mutant.yaml").write_text('fails: ["02.9"]\nwhy: w\n')
    with pytest.raises(InputError, match=r"slow-restart/mutant\.yaml:1: module 02 has no objective 02\.9; it has 02\.1"):
        load_mutants(module_copy, load_module(module_copy))


def test_a_problem_names_file_and_line(module_copy: Path) -> None:
    module = load_module(module_copy)
    line = (module_copy / "module.yaml").read_text().splitlines().index('  - id: "02.3"') + 1
    [of_solution] = placed(module_copy, module, [Problem("02.3", "is FAIL, not PASS")], SOLUTION)
    assert of_solution.endswith(f"module.yaml:{line}: 02.3 is FAIL, not PASS")
    mutant = Variant("mutant", "mutants/slow-restart", fails=("02.1",))
    [of_mutant] = placed(module_copy, module, [Problem("02.1", "is PASS, not FAIL")], mutant)
    assert of_mutant.endswith("mutants/slow-restart/mutant.yaml:1: 02.1 is PASS, not FAIL")


def test_a_mutant_without_its_description_is_refused(module_copy: Path) -> None:
    (module_copy / "mutants" / "nobody").mkdir()
    with pytest.raises(InputError, match=r"mutants/nobody: a mutant needs a mutant\.yaml"):
        load_mutants(module_copy, load_module(module_copy))


def recorded(folder: Path) -> None:
    run = ProvedRun(kind="solution", lab="solution", settings={}, verdicts={"02.1": Verdict.PASS}, seconds=Seconds(up=1, verify=2, down=3))
    proof = make_proof(project_root(), folder, load_module(folder), [run], {"node": "sha256:1"}, "20.10")
    (folder / PROOF).write_text(proof.model_dump_json(by_alias=True), encoding="utf-8")


def test_a_proof_is_stale_when_what_can_change_a_verdict_changed(module_copy: Path) -> None:
    (module_copy / PROOF).unlink(missing_ok=True)
    assert staleness(module_copy) == f"{module_copy.name} was never proved"
    recorded(module_copy)
    assert staleness(module_copy) is None
    for harmless in ("README.md", "quiz.yaml", "lab/app/tasks.py", "Pulumi.me.yaml", PROOF):
        path = module_copy / harmless
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
        assert module_hash(module_copy) == load_proof(module_copy).hashes["module"], harmless
    with (module_copy / "module.yaml").open("a", encoding="utf-8") as file:
        file.write("draft: a proof is still missing\n")
    assert staleness(module_copy) is None, "the line goes when the proof is there"
    for path in ("module.yaml", "verify/test_tasks.py", "starter/redis/redis.conf", "mutants/no-restart/mutant.yaml", "Pulumi.yaml"):
        before = (module_copy / path).read_bytes()
        (module_copy / path).write_bytes(before + b"\n")
        assert "changed since it was proved on" in str(staleness(module_copy)), path
        (module_copy / path).write_bytes(before)
    assert staleness(module_copy) is None


def test_a_proof_that_does_not_parse_says_how_to_write_it_anew(module_copy: Path) -> None:
    (module_copy / PROOF).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="`celerylab prove 02` writes it anew"):
        load_proof(module_copy)


def test_the_share_of_a_budget_begins_elsewhere_each_day_and_reaches_everything() -> None:
    work = [(Path("m"), MODULE, Variant("mutant", f"mutants/{number}")) for number in range(20)]
    today = datetime(2026, 1, 1, tzinfo=UTC)
    firsts = {share_of_today(work, today + timedelta(days=day))[0][2].lab for day in range(20)}
    assert len(firsts) == 20
    assert sorted(item[2].lab for item in share_of_today(work, today)) == sorted(item[2].lab for item in work)


@pytest.mark.parametrize("spoilt", [True, False])
def test_what_the_linter_refuses_is_refused_before_anything_is_deployed(
    spoilt: bool, module_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def engine() -> None:
        raise EngineError("this is where it would begin")

    if spoilt:
        check = '@objective("02.1")\ndef test_vacuous():\n    expect(True, "ready", "ready", "look")\n'
        (module_copy / "verify" / "test_spoilt.py").write_text(f"from celerylab.verify.plugin import objective\n{check}", encoding="utf-8")
    monkeypatch.setattr("celerylab.cli.prove.module_folder", lambda *_: module_copy)
    monkeypatch.setattr("celerylab.cli.prove.engine", engine)
    with pytest.raises((typer.Exit, EngineError)) as refused:
        prove(["02"])
    assert isinstance(refused.value, typer.Exit) == spoilt
    assert ("test_spoilt.py:4:" in capsys.readouterr().err) == spoilt
    if spoilt:
        assert refused.value.exit_code == 1


@pytest.mark.parametrize("folder", module_folders(project_root()).values(), ids=lambda folder: folder.name)
def test_every_module_has_what_a_proof_asks_before_anything_is_deployed(folder: Path) -> None:
    assert static_problems(folder) == []


@pytest.mark.parametrize("folder", module_folders(project_root()).values(), ids=lambda folder: folder.name)
def test_no_proof_is_stale_and_only_a_draft_has_none(folder: Path) -> None:
    if load_module(folder).draft:
        assert load_proof(folder) is None, "a module with a proof is no draft"
    else:
        assert staleness(folder) is None, "celerylab prove --stale"


def test_an_interrupted_proof_goes_on_while_nothing_changed(module_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERYLAB_DATA", str(tmp_path / "data"))
    run = ProvedRun(kind="mutant", lab="mutants/a", settings={}, verdicts={"02.1": Verdict.FAIL}, seconds=Seconds(up=1, verify=2, down=3))
    ProgressFile(project_root(), module_copy).add(run, {"node": "sha256:1"})
    progress = ProgressFile(project_root(), module_copy).load()
    assert progress.run_of(FIRST) == run
    assert progress.images == {"node": "sha256:1"}
    assert progress.run_of(Variant("mutant", "mutants/a", {"broker": "rabbitmq"})) is None
    with (module_copy / "module.yaml").open("a", encoding="utf-8") as file:
        file.write("# another one\n")
    assert ProgressFile(project_root(), module_copy).load().runs == []


def test_what_does_not_parse_is_no_progress(module_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERYLAB_DATA", str(tmp_path / "data"))
    file = ProgressFile(project_root(), module_copy)
    file._path.write_text("{", encoding="utf-8")
    assert file.load().runs == []
    file.forget()
    assert file.load().runs == []
