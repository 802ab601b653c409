"""What a person wants to see of a failed objective, kept beside the verdict and scrubbed of secrets."""

import subprocess
from pathlib import Path

from celerylab.verify.stack import Stack

LINES = 200
_QUESTIONS = {
    "journal.txt": f"journalctl --no-pager --lines={LINES} --output=short-iso",
    "units.txt": "systemctl list-units --all --no-pager --plain 'celery*' 'redis*' 'rabbitmq*' 'postgresql*'; systemctl cat --no-pager 'celery@*'",
    "processes.txt": "ps -eo pid,ppid,user,stat,etime,rss,args",
    "application.txt": "ls -lRL /opt/celery/current; ls -l /etc/celery",
}


def collect_evidence(stack: Stack, folder: Path) -> None:
    """Writes each host's journal, units, processes and application listing into `folder`; what cannot be had says why instead."""
    for name, host in stack.hosts.items():
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        for file, question in _QUESTIONS.items():
            line = ["docker", "exec", "--user", "observer", host["container"], "sh", "-c", question]
            try:
                result = subprocess.run(line, capture_output=True, text=True, errors="replace", timeout=15, check=False)
                text = result.stdout + result.stderr
            except (subprocess.TimeoutExpired, FileNotFoundError) as error:
                text = f"not to be had: {error}\n"
            (target / file).write_text(scrub(text, stack.secrets), encoding="utf-8")


def scrub(text: str, secrets: dict[str, str]) -> str:
    """`text` with every secret's value replaced by its name."""
    for name, value in secrets.items():
        text = text.replace(value, f"<{name}>")
    return text
