"""Labs: layers, overlays, snapshots and what does not parse."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from celerylab.errors import InputError
from celerylab.topology.lab import deep_merge, layers, overlay, snapshot


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def module(tmp_path: Path) -> Path:
    tree(tmp_path / "02-x/starter", {"app/a.py": "A = 1\n", "vars.yaml": "x: {p: 1, q: [1, 2]}\n", "old.txt": "old"})
    tree(tmp_path / "02-x/solution", {"app/a.py": "A = 2\n", "vars.yaml": "x: {q: [3]}\ny: 1\n", "overlay.yaml": "delete: [old.txt]\n"})
    tree(tmp_path / "02-x/mutants/worse", {"mutant.yaml": "fails: ['02.1']\n", "app/b.py": "B = 1\n"})
    return tmp_path / "02-x"


def files_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


def test_without_a_lab_the_starter_is_deployed(module: Path) -> None:
    assert layers(module, None) == ("starter", [module / "starter"])
    (module / "lab").mkdir()
    assert layers(module, None) == ("lab", [module / "lab"])


def test_a_solution_lies_over_the_starter(module: Path, tmp_path: Path) -> None:
    files = files_of(snapshot(module, "solution", tmp_path / "cache").folder)
    assert set(files) == {"app/a.py", "vars.yaml"}
    assert files["app/a.py"] == "A = 2\n"
    assert yaml.safe_load(files["vars.yaml"]) == {"x": {"p": 1, "q": [3]}, "y": 1}


def test_a_mutant_lies_over_the_solution(module: Path, tmp_path: Path) -> None:
    files = files_of(snapshot(module, "mutants/worse", tmp_path / "cache").folder)
    assert files["app/a.py"] == "A = 2\n"
    assert files["app/b.py"] == "B = 1\n"
    assert "mutant.yaml" not in files


def test_a_snapshot_does_not_change_with_later_edits(module: Path, tmp_path: Path) -> None:
    lab = snapshot(module, "starter", tmp_path / "cache")
    (module / "starter/app/a.py").write_text("A = 9\n", encoding="utf-8")
    assert (lab.folder / "app/a.py").read_text(encoding="utf-8") == "A = 1\n"
    assert snapshot(module, "starter", tmp_path / "cache").digest != lab.digest


def test_git_and_caches_are_no_part_of_a_lab(module: Path, tmp_path: Path) -> None:
    before = snapshot(module, "starter", tmp_path / "cache").digest
    tree(module / "starter", {".git/HEAD": "x", "app/__pycache__/a.pyc": "x"})
    assert snapshot(module, "starter", tmp_path / "cache").digest == before


@pytest.mark.parametrize(
    ("name", "text", "line", "words"),
    [
        ("app/a.py", "A = 1\ndef f(:\n", 2, "Python does not parse this"),
        ("vars.yaml", "a: 1\nb: [1\n", 3, "not valid YAML"),
        ("rabbitmq/definitions.json", '{\n "users": [\n}', 3, "not valid JSON"),
        ("pyproject.toml", "a = 1\nb = = 2\n", 2, "not valid TOML"),
        ("systemd/celery@.service.d/lab.conf", "[Service]\nUser\n", 2, "systemd reads lines such as Name=value"),
        ("systemd/celery@.service.d/lab.conf", "User=celery\n", 1, "systemd wants a section"),
    ],
)
def test_what_does_not_parse_is_refused_with_file_and_line(
    module: Path, tmp_path: Path, name: str, text: str, line: int, words: str
) -> None:
    tree(module / "starter", {name: text})
    with pytest.raises(InputError) as refusal:
        snapshot(module, "starter", tmp_path / "cache")
    assert str(refusal.value).startswith(f"{module / 'starter' / name}:{line}: ")
    assert words in str(refusal.value)
    assert not list((tmp_path / "cache").iterdir())


def test_continued_lines_and_comments_of_systemd_are_no_errors(module: Path, tmp_path: Path) -> None:
    tree(module / "starter", {"systemd/x.service.d/lab.conf": "# note\n[Service]\nExecStart=\nExecStart=/bin/a \\\n  --b\n\n; end\n"})
    snapshot(module, "starter", tmp_path / "cache")


def test_a_folder_that_does_not_exist_is_refused(module: Path) -> None:
    with pytest.raises(InputError, match="celerylab:lab names solutoin, which is no folder"):
        layers(module, "solutoin")


def test_links_are_refused(module: Path, tmp_path: Path) -> None:
    (module / "starter/link").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="a lab holds files, not links"):
        snapshot(module, "starter", tmp_path / "cache")


maps = st.recursive(st.integers() | st.lists(st.integers()), lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner))


@given(maps, maps)
def test_what_lies_above_is_always_found_in_the_merge(below: object, above: object) -> None:
    def covered(part: object, whole: object) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(key in whole and covered(value, whole[key]) for key, value in part.items())
        return part == whole

    assert covered(above, deep_merge(below, above))


def edited(tmp_path: Path, *edits: dict[str, str], file: str = "app/x.py") -> str:
    tree(tmp_path / "below", {"app/x.py": "a = 1\nb = 1\n"})
    tree(tmp_path / "above", {"mutant.yaml": yaml.safe_dump({"fails": [], "why": "", "edits": {file: list(edits)}})})
    (tmp_path / "lab").mkdir()
    for layer in ("below", "above"):
        overlay(tmp_path / layer, tmp_path / "lab")
    return (tmp_path / "lab/app/x.py").read_text(encoding="utf-8")


def test_an_edit_replaces_one_place_of_a_file_below(tmp_path: Path) -> None:
    assert edited(tmp_path, {"old": "a = 1", "new": "a = 2"}, {"old": "b = 1\n", "new": ""}) == "a = 2\n"


@pytest.mark.parametrize(
    ("old", "file", "words"),
    [
        ("= 1", "app/x.py", "this text is 2 times in app/x.py, and not once"),
        ("c = 1", "app/x.py", "this text is 0 times in app/x.py, and not once"),
        ("a = 1", "app/y.py", "there is no app/y.py to edit"),
    ],
)
def test_an_edit_that_is_not_at_exactly_one_place_is_refused(tmp_path: Path, old: str, file: str, words: str) -> None:
    with pytest.raises(InputError, match=rf"mutant.yaml:\d+: {words}"):
        edited(tmp_path, {"old": old, "new": ""}, file=file)


def test_an_executable_stays_executable(tmp_path: Path) -> None:
    tree(tmp_path / "a", {"run.sh": "#!/bin/sh\n"})
    (tmp_path / "a/run.sh").chmod(0o700)
    (tmp_path / "b").mkdir()
    overlay(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b/run.sh").stat().st_mode & 0o777 == 0o755
