"""What a person wants to see of a failed objective, kept beside the verdict and scrubbed of secrets."""

import subprocess
from pathlib import Path

from celerylab.clusters.kubectl import kubeconfig_file, kubectl
from celerylab.verify.stack import Stack

LINES = 200
_QUESTIONS = {
    "journal.txt": f"journalctl --no-pager --lines={LINES} --output=short-iso",
    "units.txt": "systemctl list-units --all --no-pager --plain 'celery*' 'redis*' 'rabbitmq*' 'postgresql*'; systemctl cat --no-pager 'celery@*'",
    "processes.txt": "ps -eo pid,ppid,user,stat,etime,rss,args",
    "application.txt": "ls -lRL /opt/celery/current; ls -l /etc/celery",
}
_QUESTIONS_TO_CLUSTER = {
    "pods.txt": ["get", "pods", "--output=wide"],
    "described.txt": ["describe", "pods,deployments,statefulsets,scaledobjects,horizontalpodautoscalers,poddisruptionbudgets"],
    "events.txt": ["get", "events", "--sort-by=.lastTimestamp"],
}
_LOGS = {"log.txt": [], "log-before-restart.txt": ["--previous"]}


def collect_evidence(stack: Stack, folder: Path) -> None:
    """Writes each host's journal, units, processes and application listing into `folder`, or what a namespace has and each pod's log; what cannot
    be had says why instead."""
    for name, host in stack.hosts.items():
        for file, question in _QUESTIONS.items():
            line = ["docker", "exec", "--user", "observer", host["container"], "sh", "-c", question]
            _write(folder / name / file, _answer(line), stack.secrets)
    if stack.namespace:
        _collect_of_namespace(stack, folder)


def _collect_of_namespace(stack: Stack, folder: Path) -> None:
    with kubeconfig_file(stack.secrets["kubeconfig"]) as kubeconfig:

        def answer(*question: str) -> str:
            return _answer(kubectl(kubeconfig, stack.namespace, *question))

        for file, question in _QUESTIONS_TO_CLUSTER.items():
            _write(folder / file, answer(*question), stack.secrets)
        pods = [line for line in answer("get", "pods", "--output=name").splitlines() if line.startswith("pod/")]
        for pod in pods:
            for file, options in _LOGS.items():
                text = answer("logs", pod, "--all-containers", f"--tail={LINES}", *options)
                _write(folder / pod.removeprefix("pod/") / file, text, stack.secrets)


def _answer(line: list[str]) -> str:
    try:
        result = subprocess.run(line, capture_output=True, text=True, errors="replace", timeout=15, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        return f"not to be had: {error}\n"
    return result.stdout + result.stderr


def _write(file: Path, text: str, secrets: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(scrub(text, secrets), encoding="utf-8")


def scrub(text: str, secrets: dict[str, str]) -> str:
    """`text` with every secret's value replaced by its name."""
    for name, value in secrets.items():
        text = text.replace(value, f"<{name}>")
    return text
