"""Entry point: collects the commands, and turns our errors into one line and an exit code."""

import signal
import sys

import typer
from typer.exceptions import TyperException

from celerylab.cli import cluster, course, dashboard, drill, grade, images, machine, observe, prove, quiz, reap, stack, status, watch
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
for commands in (course, quiz, stack, status, reap, observe, drill, dashboard, watch, prove, grade, machine):
    commands.register(app)
app.add_typer(images.app, name="images")
app.add_typer(cluster.app, name="cluster")


def main() -> None:
    """Runs the command line and exits. Asked to end, by whom and how ever, a command undoes what it must, as with Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # how Typer says that Ctrl-C was pressed
            err.print("interrupted")
        sys.exit(code)
    except (CelerylabError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        if message:  # none where no command was named, and the help has been shown
            err.print("error:", style="bold red", end=" ")
            err.print(message, markup=False)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted")
        sys.exit(INTERRUPTED)
