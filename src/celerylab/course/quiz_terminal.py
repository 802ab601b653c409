"""A quiz in a terminal. Input and output are handed in, and progress is plain data, so that a caller can store it and go on later."""

from collections.abc import Callable, Mapping
from string import ascii_lowercase
from typing import Any

from rich.console import Console

from celerylab.course.questions import Matching, MultipleChoice, TrueFalse
from celerylab.course.quiz import Graded, Presented, Quiz, QuizScore, grade, shuffled
from celerylab.errors import InputError

SCHEMA = "celerylab/quiz-progress/1"
Ask = Callable[[str], str]
Progress = dict[str, Any]
_TRUE, _FALSE = {"t", "true", "y", "yes"}, {"f", "false", "n", "no"}


def run_quiz(
    quiz: Quiz,
    ask: Ask,
    console: Console,
    seed: int,
    progress: Mapping[str, Any] | None = None,
    save: Callable[[Progress], None] | None = None,
) -> Progress:
    """Asks what `progress` has no answer to, explains each answer, and returns the new progress.

    `ask` shows a prompt and returns a line, as `input` does; an empty line leaves a question for later, and Ctrl-C or the end of the
    input ends the quiz. `save` is called after each answer. `progress` is what an earlier run returned: `{"schema", "module", "seed",
    "answers": {question id: answer}}`; its seed then decides the order. Raises InputError where it belongs to another quiz.
    """
    state = _resumed(quiz, seed, progress, console)
    answers = state["answers"]
    presented = shuffled(quiz, state["seed"])
    try:
        for number, one in enumerate(presented, start=1):
            if one.question.id in answers:
                continue
            _say(console, f"\n{number}/{len(presented)}  {one.question.prompt}", style="bold")
            answer = _asked(one, ask, console)
            if answer is None:
                _say(console, "left for later", style="dim")
                continue
            answers[one.question.id] = answer
            if save is not None:
                save(state)
            _explain(grade(one.question, answer), console)
    except (KeyboardInterrupt, EOFError):
        _say(console, f"\nstopped; your {len(answers)} answers are kept, and the quiz goes on from here when you start it again")
        return state
    print_score(quiz.score(answers), console)
    return state


def print_score(score: QuizScore, console: Console) -> None:
    """Prints points, percent and what has no answer yet."""
    verdict = "passed" if score.passed else "not passed yet"
    _say(
        console,
        f"\n{score.points:g} of {score.total} points, {score.percent:g} %: {verdict}",
        style="bold green" if score.passed else "bold",
    )
    if score.unanswered:
        _say(console, f"without an answer: {', '.join(score.unanswered)}")


def _resumed(quiz: Quiz, seed: int, progress: Mapping[str, Any] | None, console: Console) -> Progress:
    if progress is None:
        return {"schema": SCHEMA, "module": quiz.module, "seed": seed, "answers": {}}
    if progress.get("schema") != SCHEMA or progress.get("module") != quiz.module:
        raise InputError(f"this progress is not of the quiz of module {quiz.module}; start without it")
    kept = {}
    for question_id, answer in progress["answers"].items():
        try:
            grade(quiz.question(question_id), answer)
            kept[question_id] = answer
        except InputError:
            _say(console, f"question {question_id} has changed since you answered it; it is asked again", style="yellow")
    return {"schema": SCHEMA, "module": quiz.module, "seed": progress["seed"], "answers": kept}


def _asked(one: Presented, ask: Ask, console: Console) -> Any:
    question = one.question
    if isinstance(question, MultipleChoice):
        return _ask_choice(question, one.choices, ask, console)
    if isinstance(question, TrueFalse):
        return _ask_true_false(ask, console)
    if isinstance(question, Matching):
        return _ask_matching(question, one.choices, ask, console)
    return ask("answer: ").strip() or None


def _ask_choice(question: MultipleChoice, choices: tuple[str, ...], ask: Ask, console: Console) -> Any:
    texts = {option.id: option.text for option in question.options}
    _list_choices([texts[choice] for choice in choices], console)
    while line := ask("letters, such as a c: " if question.multiple else "letter: ").strip().lower():
        letters = [letter for letter in line if letter not in " ,"]
        known = all(letter in ascii_lowercase[: len(choices)] for letter in letters)
        if known and letters and (question.multiple or len(letters) == 1):
            chosen = [choices[ascii_lowercase.index(letter)] for letter in letters]
            return chosen if question.multiple else chosen[0]
        _say(
            console,
            f"type {'letters' if question.multiple else 'one letter'} from a to {ascii_lowercase[len(choices) - 1]}",
            style="yellow",
        )
    return None


def _ask_true_false(ask: Ask, console: Console) -> Any:
    while line := ask("true or false: ").strip().lower():
        if line in _TRUE | _FALSE:
            explanation = ask("why, in a sentence (for the debrief; Enter leaves it out): ").strip()
            return {"answer": line in _TRUE, "explanation": explanation} if explanation else line in _TRUE
        _say(console, "type true or false", style="yellow")
    return None


def _ask_matching(question: Matching, choices: tuple[str, ...], ask: Ask, console: Console) -> Any:
    _list_choices(list(choices), console)
    answer: dict[str, str] = {}
    for pair in question.pairs:
        while line := ask(f"{pair.left}: ").strip().lower():
            if len(line) == 1 and line in ascii_lowercase[: len(choices)]:
                answer[pair.left] = choices[ascii_lowercase.index(line)]
                break
            _say(console, f"type one letter from a to {ascii_lowercase[len(choices) - 1]}", style="yellow")
    return answer or None


def _list_choices(texts: list[str], console: Console) -> None:
    for letter, text in zip(ascii_lowercase, texts, strict=False):
        _say(console, f"  {letter}) {text}")


def _explain(graded: Graded, console: Console) -> None:
    if graded.correct:
        _say(console, "right", style="green")
    elif graded.score:
        _say(console, f"partly right ({graded.score:.0%})", style="yellow")
    else:
        _say(console, "not right", style="red")
    _say(console, graded.rationale)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, markup=False, highlight=False)
