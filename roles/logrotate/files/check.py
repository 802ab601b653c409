"""Asks logrotate whether it accepts the configuration on standard input, which is not on the host yet; its words on standard error if not."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "local"
    file.write_text(sys.stdin.read(), encoding="utf-8")
    result = subprocess.run(["logrotate", "--debug", "--state", f"{folder}/state", str(file)], capture_output=True, text=True, check=False)
    words = re.findall(r"^error: (.*)", result.stderr.replace(f"{folder}/", ""), re.MULTILINE)
    sys.exit(" | ".join(words) or 0)
