"""Tables in READMEs that a script makes of something else: between two comments, written anew, or only checked."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def row(*cells: str) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def with_table(readme: Path, what: str, script: str, table: Sequence[str]) -> str:
    """The README's text with a fresh table of `what` where `script` writes it."""
    begin, end = f"<!-- {what}: scripts/{script} writes this -->", f"<!-- end of {what} -->"
    before, rest = readme.read_text(encoding="utf-8").split(begin)
    return before + "\n".join([begin, *table, end]) + rest.split(end)[1]


def write_or_check(fresh: Mapping[Path, str]) -> int:
    """Writes each README that is stale, by its path; with `--check` among the arguments only says which. The exit code: 1 where a check finds one."""
    check = "--check" in sys.argv
    stale = {readme: text for readme, text in fresh.items() if readme.read_text(encoding="utf-8") != text}
    if not check:
        for readme, text in stale.items():
            readme.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'stale' if check else 'written'}: {', '.join(readme.parent.name for readme in stale)}")
    return int(bool(stale) and check)
