"""`celerylab quiz`: a module's questions in the terminal, or answers from a file."""

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from celerylab.cli.arguments import Json, Module, folder_of
from celerylab.cli.console import out, print_json
from celerylab.course.progress import Progress
from celerylab.course.quiz import Quiz, load_quiz
from celerylab.course.quiz_terminal import print_score, run_quiz
from celerylab.errors import InputError


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(quiz)


def quiz(
    module: Module,
    answers: Annotated[Path | None, typer.Option(help="Grade this JSON file, {question id: answer}, instead of asking.")] = None,
    again: Annotated[bool, typer.Option(help="Forget the answers given so far.")] = False,
    json_: Json = False,
) -> None:
    """Asks the module's quiz; Ctrl-C keeps what you answered, and the next call goes on from there.

    Example: celerylab quiz 02
    """
    folder = folder_of(module)
    found = load_quiz(folder / "quiz.yaml")
    if answers is not None:
        _show(found, _read_answers(answers), json_)
        return
    progress = Progress.load()
    state = None if again else progress.quizzes.get(found.module)
    if json_:
        _show(found, state["answers"] if state else {}, json_)
        return
    if not sys.stdin.isatty():
        raise InputError("the quiz asks questions and needs a terminal; to grade a file, use --answers FILE")
    state = run_quiz(found, input, out, secrets.randbelow(2**31), state, lambda now: progress.with_quiz(found.module, now).save())
    progress.with_quiz(found.module, state).save()


def _show(found: Quiz, answers: dict[str, object], json_: bool) -> None:
    score = found.score(answers)
    print_json(score.model_dump()) if json_ else print_score(score, out)


def _read_answers(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(content, dict):
        raise InputError(f'{path}: write an object such as {{"q1": "a"}}')
    return content
