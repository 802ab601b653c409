"""Entry point: collects the commands, and turns our errors into one line and an exit code."""

import sys

import click
import typer

from celerylab.cli import course, images, machine, observe, quiz, stack, status
from celerylab.cli.console import err
from celerylab.errors import CelerylabError

INTERRUPTED = 130

app = typer.Typer(
    help="Real Celery environments for learners: stand one up, verify it objective by objective, take it down.",
    epilog="Exit codes: docs/cli.md. Plain `pulumi up` in a module folder works as well; see `source ./activate`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (course, quiz, stack, status, observe, machine):
    commands.register(app)
app.add_typer(images.app, name="images")


def main() -> None:
    """Runs the command line and exits."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CelerylabError as error:
        err.print("error:", style="bold red", end=" ")
        err.print(str(error), markup=False)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("interrupted")
        sys.exit(INTERRUPTED)
