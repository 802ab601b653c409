"""A verification for people: a table, the one thing to fix first, and dependants folded into it."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from celerylab.verify.results import ObjectiveResult, Results, Verdict

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.NOT_OBSERVED: "yellow"}


def print_results(results: Results, folder: Path, console: Console) -> None:
    """Prints `results`; `folder` is where its evidence lies."""
    table = Table("objective", "verdict", "what was seen", box=None, padding=(0, 2, 1, 0), header_style="dim")
    for objective in results.objectives:
        style = _STYLES[objective.verdict]
        table.add_row(objective.id, f"[{style}]{objective.verdict}[/{style}]", described(objective))
    console.print(table)
    first = fix_first(results)
    if first:
        console.print(f"[bold]fix this first:[/bold] {escape(first.id)}: {escape(first.observed or first.cause)}")
        if first.look:
            console.print(f"  look: {escape(first.look)}")
        if first.verdict is Verdict.FAIL:
            console.print(f"  hint: celerylab hint {first.id}")
    if not results.fingerprint.suite_published:
        console.print(
            "this suite is not the published one: verify/ was edited, so these verdicts count for nothing but you", style="yellow"
        )
    if not results.complete:
        console.print("this run did not cover every objective, so it is no pass of the module", style="yellow")
    console.print(f"{results.summary}   [dim]{results.seconds:.0f} s, evidence: {escape(str(folder))}[/dim]", soft_wrap=True)


def described(objective: ObjectiveResult) -> str:
    """What a person reads of an objective, as rich markup."""
    if objective.verdict is Verdict.PASS:
        return escape(objective.statement)
    if objective.verdict is Verdict.NOT_OBSERVED:
        return f"[dim]{escape(objective.cause)}[/dim]"
    lines = [f"observed: {objective.observed}", f"expected: {objective.expected}"]
    if objective.look:
        lines.append(f"look: {objective.look}")
    return "\n".join(map(escape, lines))


def fix_first(results: Results) -> ObjectiveResult | None:
    """The first FAIL; without one, the first NOT_OBSERVED that does not merely wait for another objective; None when all pass."""
    for verdict in (Verdict.FAIL, Verdict.NOT_OBSERVED):
        for objective in results.objectives:
            if objective.verdict is verdict and not objective.cause.startswith("needs "):
                return objective
    return None
