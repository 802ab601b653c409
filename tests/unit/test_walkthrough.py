"""A README's blocks become steps, and a block that no test would run is an error."""

from pathlib import Path, PurePosixPath

import pytest

from celerylab.course.walkthrough import Run, Write, read_walkthrough
from celerylab.errors import InputError

pytestmark = pytest.mark.unit


def test_blocks_become_steps_in_order(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(
        "# Title with ```code``` in a line\n\n```sh\ncd x\nls\n```\n\n```text\nout\n```\n"
        "1. indented:\n\n   ```sh exit=1\n   verify \\\n     02\n   ```\n"
        '```python file=app/a.py\n"""A."""\n```\n```sh no-test\nquiz\n```\n'
        "```sh repaired exit=2\nprobe\n```\n",
        encoding="utf-8",
    )
    assert read_walkthrough(path) == [
        Run(3, "cd x\nls\n"),
        Run(13, "verify \\\n  02\n", exit_status=1),
        Write(17, PurePosixPath("app/a.py"), '"""A."""\n'),
        Run(20, "quiz\n", tested=False),
        Run(23, "probe\n", exit_status=2, repaired=True),
    ]


@pytest.mark.parametrize(
    "info",
    ["", "python", "bash", "sh notest", "sh exit=x", "sh exit=1 no-test", "sh exit=1 exit=2", "sh repaired repaired", "text file", "shell"],
)
def test_a_block_that_says_nothing_known_is_refused(tmp_path: Path, info: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"one\n\n```{info}\nx\n```\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"README\.md:3: .* is no block we know"):
        read_walkthrough(path)


@pytest.mark.parametrize("target", ["/etc/passwd", "../starter/app/a.py", "app/../../x"])
def test_a_file_outside_lab_is_refused(tmp_path: Path, target: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"```python file={target}\nx\n```\n", encoding="utf-8")
    with pytest.raises(InputError, match="leads out of lab/"):
        read_walkthrough(path)
