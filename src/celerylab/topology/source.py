"""Reads YAML so that every complaint names file and line and says what to write instead."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from celerylab.errors import InputError

Location = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


class Model(BaseModel):
    """Base of all our models: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Source:
    """A YAML file: its data, and the line (from 1) of each key and list item by its path."""

    path: Path
    data: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """Line of `location`, or of the nearest thing that encloses it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def place(self, location: Location) -> str:
        """`location` as `file:line`."""
        return f"{_shown(self.path)}:{self.line(location)}"

    def error(self, location: Location, message: str) -> InputError:
        """An InputError that points at `location`."""
        return InputError(f"{self.place(location)}: {message}")


def read_yaml(path: Path) -> Source:
    """The file at `path`; an empty one is an empty mapping.

    Raises InputError for a missing file, a syntax error (with its line) or a key written twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{_shown(path)}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{_shown(path)}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{_shown(path)}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{_shown(path)}: not valid YAML: {error}") from None
    lines: dict[Location, int] = {}
    if root is not None:
        _index(root, (), lines, path)
    return Source(path, {} if data is None else data, lines)


def load_model(path: Path, model: type[ModelT]) -> ModelT:
    """The file at `path` as `model`. Raises InputError naming file, line and the remedy for the first thing wrong."""
    return validate(read_yaml(path), model)


def validate(source: Source, model: type[ModelT]) -> ModelT:
    """What `source` holds as `model`; raises InputError as `load_model` does."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise source.error(tuple(first["loc"]), _explain(first, model)) from None


def suggestion(word: str, known: list[str]) -> str:
    """` (did you mean X?)` for the nearest known word, else the empty string."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _explain(error: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key{suggestion(str(error['loc'][-1]), _field_names(model))}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    message = error["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(error["input"], dict | list) else f", not {error['input']!r}"
    return f"{where}: {message[0].lower()}{message[1:]}{shown}"


def _field_names(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema()
    return sorted({name for part in (schema, *schema.get("$defs", {}).values()) for name in part.get("properties", {})})


def _index(node: yaml.Node, location: Location, lines: dict[Location, int], path: Path) -> None:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value
            if name in seen:
                raise InputError(f"{_shown(path)}:{key.start_mark.line + 1}: {name} is written twice; keep one")
            seen.add(name)
            lines[(*location, name)] = key.start_mark.line + 1
            _index(value, (*location, name), lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _index(item, (*location, index), lines, path)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
