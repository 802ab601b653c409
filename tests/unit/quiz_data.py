"""A quiz with one question of each kind, and ways to bend it."""

import copy
from typing import Any

from celerylab.course.quiz import Quiz

CHOICE: dict[str, Any] = {
    "id": "state",
    "type": "multiple_choice",
    "objective": "02.5",
    "prompt": "Which state?",
    "options": [
        {"id": "success", "text": "SUCCESS", "rationale": "it returned"},
        {"id": "failure", "text": "FAILURE", "correct": True, "rationale": "it raised"},
        {"id": "retry", "text": "RETRY", "rationale": "nobody asked"},
    ],
}
SEVERAL: dict[str, Any] = {
    "id": "service",
    "type": "multiple_choice",
    "multiple": True,
    "prompt": "Which belong to a service?",
    "options": [
        {"id": "user", "text": "a user", "correct": True, "rationale": "least privilege"},
        {"id": "restart", "text": "a restart", "correct": True, "rationale": "processes die"},
        {"id": "root", "text": "root", "rationale": "all rights"},
        {"id": "password", "text": "the password", "rationale": "ps shows it"},
    ],
}
STATEMENT: dict[str, Any] = {
    "id": "alive",
    "type": "true_false",
    "prompt": "Active means working.",
    "answer": False,
    "rationale_true": "active is a process",
    "rationale_false": "ask the worker",
}
GAP: dict[str, Any] = {
    "id": "word",
    "type": "fill_in",
    "prompt": "inspect ____",
    "accept": ["registered tasks"],
    "pattern": r"regs?\d",
    "rationale": "asks the process",
    "mistakes": [{"answer": "active", "rationale": "those that run now"}],
}
PAIRS: dict[str, Any] = {
    "id": "parts",
    "type": "matching",
    "prompt": "Who does what?",
    "pairs": [
        {"left": "broker", "right": "keeps messages", "rationale": "until taken"},
        {"left": "worker", "right": "runs tasks", "rationale": "by name"},
        {"left": "client", "right": "sends", "rationale": "and goes on"},
    ],
    "distractors": [{"right": "sleeps", "rationale": "nobody does"}],
}
QUIZ: dict[str, Any] = {"module": "02", "title": "A quiz", "questions": [CHOICE, SEVERAL, STATEMENT, GAP, PAIRS]}
RIGHT: dict[str, Any] = {
    "state": "failure",
    "service": ["restart", "user"],
    "alive": False,
    "word": "registered tasks",
    "parts": {"broker": "keeps messages", "worker": "runs tasks", "client": "sends"},
}


def quiz(*questions: dict[str, Any], **changes: Any) -> Quiz:
    return Quiz.model_validate({**QUIZ, **({"questions": list(questions)} if questions else {}), **changes})


def changed(question: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(question), **changes}


def without(question: dict[str, Any], *path: Any) -> dict[str, Any]:
    clone = copy.deepcopy(question)
    inner = clone
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return clone
