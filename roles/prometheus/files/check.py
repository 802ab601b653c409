"""Asks promtool whether it accepts a configuration and its rules, which are not on the host yet: {"configuration", "rules": {name: text}} on standard
input. What it refuses, file by file and in its own words, on standard error."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def refused(folder: Path, *arguments: str) -> str:
    """promtool's words, with files by their own names; empty where it has nothing to say against them."""
    result = subprocess.run(["promtool", "check", *arguments], capture_output=True, text=True, check=False)
    text = (result.stdout + result.stderr).replace(f"{folder}/rules/", "").replace(f"{folder}/", "")
    return " ".join(text.split()) if result.returncode else ""


def main() -> None:
    """Checks rules first and one by one, so that each that is wrong is named."""
    wanted = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        for rule, text in wanted["rules"].items():
            (folder / "rules" / rule).write_text(text, encoding="utf-8")
        (folder / "prometheus.yml").write_text(wanted["configuration"], encoding="utf-8")
        problems = [said for rule in wanted["rules"] if (said := refused(folder, "rules", str(folder / "rules" / rule)))]
        if not problems and (said := refused(folder, "config", str(folder / "prometheus.yml"))):
            problems = [said]
    sys.exit(" | ".join(problems) or 0)


main()
