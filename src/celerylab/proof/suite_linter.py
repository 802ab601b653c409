"""Refuses checks that cannot fail, or fail for the wrong reason: shapes that lab platforms keep shipping, found in the syntax tree."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# What a check says an observed value with; `outcome` waits like `wait_for`.
_SAYS = {"expect", "wait_for", "outcome"}
_RUNS = {"run", "run_expect", "run_test", "check_output", "as_root"}
_PIPE = re.compile(r"(?<![|\\])\|(?!\|)|;\s*echo\b|&&\s*echo\b|\|\|\s*(true|:|echo)\b")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class Finding:
    """One refused shape."""

    path: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.rule}: {self.message}"


def lint_suite(verify: Path) -> list[Finding]:
    """Findings in every Python file of a module's `verify/`, in order."""
    found: list[Finding] = []
    for path in sorted(verify.rglob("*.py")):
        found += lint_text(path.read_text(encoding="utf-8"), path)
    return found


def lint_text(text: str, path: Path) -> list[Finding]:
    """Findings in one file."""
    tree = ast.parse(text)
    found = [Finding(path, line, rule, message) for rule, search in _EVERYWHERE.items() for line, message in search(tree)]
    helpers = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for check in filter(_is_check, helpers.values()):
        statements = list(_statements(check, helpers))
        found += [Finding(path, line, rule, message) for rule, search in _IN_CHECKS.items() for line, message in search(check, statements)]
    return sorted(found, key=lambda finding: finding.line)


Found = Iterator[tuple[int, str]]


def _no_assertion(check: ast.FunctionDef, statements: list[ast.AST]) -> Found:
    if not any(isinstance(node, ast.Assert) or _name(node) in _SAYS for node in statements):
        yield check.lineno, f"{check.name} says nothing about an observed value: use expect or wait_for"
    for node in statements:
        condition = _condition(node)
        if isinstance(condition, ast.Constant):
            yield condition.lineno, "a constant is no observation"


def _vacuous_universal(_check: ast.FunctionDef, statements: list[ast.AST]) -> Found:
    conditions = [condition for node in statements if (condition := _condition(node)) is not None]
    for condition in conditions:
        for call in ast.walk(condition):
            over = _universal_over(call)
            if over is not None and not any(_shows_non_empty(other, over) for other in conditions):
                yield (
                    condition.lineno,
                    f"holds for an empty `{over}` as well: expect it to have something in it first (`{over} and all(...)`)",
                )


def _absence_never_shown(check: ast.FunctionDef, statements: list[ast.AST]) -> Found:
    conditions = [condition for node in statements if (condition := _condition(node)) is not None]
    if conditions and all(_is_absence(condition) for condition in conditions):
        yield check.lineno, f"{check.name} only expects that something is absent: show in the same check that it would be seen"


def _failed_command(_check: ast.FunctionDef, statements: list[ast.AST]) -> Found:
    for node in statements:
        condition = _condition(node)
        if condition is not None and any(_wants_any_failure(part) for part in ast.walk(condition)):
            yield condition.lineno, "a tool that is missing fails as well: expect the exit code or the words that mean `not there`"


def _pipe(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in _RUNS and isinstance(node.func, ast.Attribute):
            for argument in node.args:
                text = argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""
                if _PIPE.search(_QUOTED.sub("", text)):
                    yield node.lineno, "the exit code is that of the last command: run one command, and look at its output in Python"


def _bare_sleep(tree: ast.Module) -> Found:
    polled = {id(inner) for loop in ast.walk(tree) if isinstance(loop, ast.While) for inner in ast.walk(loop)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) == "sleep" and id(node) not in polled:
            yield (
                node.lineno,
                "too short on one machine and too long on the next: wait_for a condition, or `lasting` for a fault of a given length",
            )


def _broad_except(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in caught):
                yield node.lineno, "turns trouble of the harness into a verdict: name the exceptions that are an observation"


_EVERYWHERE: dict[str, Callable[[ast.Module], Found]] = {
    "exit-code-of-a-pipe": _pipe,
    "bare-sleep": _bare_sleep,
    "broad-except": _broad_except,
}
_IN_CHECKS: dict[str, Callable[[ast.FunctionDef, list[ast.AST]], Found]] = {
    "no-assertion": _no_assertion,
    "vacuous-universal": _vacuous_universal,
    "absence-never-shown": _absence_never_shown,
    "any-failure-counts": _failed_command,
}


def _is_check(function: ast.FunctionDef) -> bool:
    return any(isinstance(mark, ast.Call) and _name(mark) == "objective" for mark in function.decorator_list)


def _statements(function: ast.FunctionDef, helpers: dict[str, ast.FunctionDef], seen: frozenset[str] = frozenset()) -> Iterator[ast.AST]:
    """Every node of `function` and of the helpers in its file that it calls, nested functions excluded from nothing."""
    for node in ast.walk(function):
        yield node
        name = _name(node)
        if isinstance(node, ast.Call) and name in helpers and name not in seen and name != function.name:
            yield from _statements(helpers[name], helpers, seen | {function.name, name})


def _name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def _condition(node: ast.AST) -> ast.expr | None:
    """What an `assert` or `expect` asks for; of wait_for, the body of its lambda or the name of what it polls."""
    if isinstance(node, ast.Assert):
        return node.test
    if _name(node) in {"expect", "wait_for"} and isinstance(node, ast.Call) and node.args:
        first = node.args[0]
        return first.body if isinstance(first, ast.Lambda) else first
    return None


def _universal_over(node: ast.AST) -> str | None:
    """What `all(... for x in THIS)` or `not any(...)` ranges over, as it is written; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and _name(node.operand) == "any":
        node = node.operand
    elif _name(node) != "all":
        return None
    argument = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if isinstance(argument, ast.GeneratorExp | ast.ListComp):
        argument = argument.generators[0].iter
    while isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute) and argument.func.attr in {"values", "items", "keys"}:
        argument = argument.func.value
    return ast.unparse(argument) if isinstance(argument, ast.Name | ast.Attribute | ast.Subscript) else None


def _shows_non_empty(condition: ast.expr, name: str) -> bool:
    """Whether `condition` is false where `name` is empty: it is an operand of `and`, or the whole, or counted and compared."""
    operands = condition.values if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And) else [condition]
    for operand in operands:
        if ast.unparse(operand) == name:
            return True
        if isinstance(operand, ast.Compare) and not isinstance(operand.ops[0], ast.NotIn):
            left = ast.unparse(operand.left)
            if left in {name, f"len({name})"} or any(ast.unparse(right) == name for right in operand.comparators):
                return True
    return False


def _is_absence(condition: ast.expr) -> bool:
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        return True
    if isinstance(condition, ast.BoolOp):
        return all(_is_absence(value) for value in condition.values)
    if isinstance(condition, ast.Compare):
        empty = [
            right for right in condition.comparators if isinstance(right, ast.List | ast.Dict | ast.Set) and not ast.unparse(right)[1:-1]
        ]
        return isinstance(condition.ops[0], ast.NotIn) or (isinstance(condition.ops[0], ast.Eq) and bool(empty))
    return False


def _wants_any_failure(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "failed":
        return True
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return isinstance(node.operand, ast.Attribute) and node.operand.attr == "succeeded"
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr in {"rc", "exit_status"}:
        return isinstance(node.ops[0], ast.NotEq | ast.Gt)
    return False
