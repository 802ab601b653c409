"""What a run that was cut short left behind is ended, and nothing else; and who must not end while a run goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

from celerylab.processes import end_processes_naming

SLEEP = "import time; time.sleep(60)"


def test_processes_that_name_the_folder_are_ended_and_no_others(tmp_path: Path) -> None:
    left, other = tmp_path / "run-1", tmp_path / "run-10"
    processes = [
        subprocess.Popen([sys.executable, "-c", SLEEP, f"{folder}/inventory.yml"], start_new_session=True) for folder in (left, other)
    ]
    try:
        assert end_processes_naming(left) == 1
        assert processes[0].wait(timeout=10) == -9
        assert processes[1].poll() is None
        assert end_processes_naming(left) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_who_started_pulumi_may_end_without_ending_the_run(tmp_path: Path) -> None:
    """A shell does when its terminal is closed, while a `pulumi` in the background goes on."""
    program = tmp_path / "pulumi"
    shutil.copy("/bin/sh", program)
    ask = f"{sys.executable} -c 'from celerylab.processes import ancestors; print(*ancestors())'"
    said = subprocess.run([program, "-c", f"echo $$; {ask}; true"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == said[1]
