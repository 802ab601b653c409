"""Asks amtool whether it accepts the alertmanager.yml on standard input, which is not on the host yet; its words on standard error if not."""

import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "alertmanager.yml"
    file.write_text(sys.stdin.read(), encoding="utf-8")
    result = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, text=True, check=False)
    said = result.stdout + result.stderr
    sys.exit(" ".join(said.replace(f"{folder}/", "").split()) if result.returncode else 0)
