"""YAML complaints name file and line, and say what to write."""

from pathlib import Path

import pytest
from pydantic import Field

from celerylab.errors import InputError
from celerylab.topology.source import Model, load_model, read_yaml


class Thing(Model):
    count: int = Field(ge=1)
    colour: str = "red"


class Box(Model):
    things: dict[str, Thing]


def written(folder: Path, text: str) -> Path:
    path = folder / "box.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_is_a_model(tmp_path: Path) -> None:
    assert load_model(written(tmp_path, "things:\n  a: {count: 2}\n"), Box) == Box(things={"a": Thing(count=2)})


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("things:\n  a:\n    count: two\n", 3, "things.a.count: input should be a valid integer"),
        ("things:\n  a:\n    count: 0\n", 3, "greater than or equal to 1"),
        ("things:\n  a:\n    count: 1\n    color: blue\n", 4, "things.a.color: unknown key (did you mean colour?)"),
        ("things:\n  a:\n    colour: blue\n", 2, "things.a.count: is missing"),
        ("things:\n  a: {count: 1}\n  a: {count: 2}\n", 3, "a is written twice"),
        ("things:\n  a: {count: 1\n", 3, "not valid YAML"),
    ],
)
def test_a_bad_file_is_refused_at_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as refusal:
        load_model(path, Box)
    assert str(refusal.value).startswith(f"{path}:{line}: ")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml: there is no such file"):
        read_yaml(tmp_path / "nothing.yaml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_yaml(path)
