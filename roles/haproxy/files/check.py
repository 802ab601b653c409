"""Asks HAProxy whether it accepts the configuration on standard input, which is not on the host yet; its words on standard error if not."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "haproxy.cfg"
    file.write_text(sys.stdin.read(), encoding="utf-8")
    result = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    said = re.findall(r"\[ALERT\] +\(\d+\) : config : (.*)", result.stdout + result.stderr)
    words = [line.replace(f"{folder}/", "") for line in said if "rror(s) found in" not in line and "atal errors found" not in line]
    sys.exit((" | ".join(words) or result.stderr) if result.returncode else 0)
