"""The command that shows a stack's metrics in a browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from celerylab.cli.arguments import Module, StackName, stack_of
from celerylab.cli.console import out
from celerylab.dashboard.panels import read_panels
from celerylab.dashboard.server import serve
from celerylab.errors import InputError
from celerylab.paths import project_root

DASHBOARD = Path("manifests", "dashboards", "celery.json")


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(dashboard)


def dashboard(
    module: Module,
    stack: StackName = None,
    file: Annotated[Path | None, typer.Option(help="Another Grafana dashboard, such as one of your own.", dir_okay=False)] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")] = True,
) -> None:
    """Draws the panels of a Grafana dashboard from the stack's Prometheus, on a page of this machine alone, until Ctrl-C.

    Example: celerylab dashboard 16
    """
    target = stack_of(module, stack)
    endpoints = target.outputs()["endpoints"]
    if "prometheus" not in endpoints:
        raise InputError(f"module {target.folder.name[:2]} runs no Prometheus; modules of the multi-worker rung do (`celerylab list`)")
    panels = read_panels(file or project_root() / DASHBOARD)
    try:
        server = serve(panels, f"http://{endpoints['prometheus']}", f"module {target.folder.name[:2]}, stack {target.name}", port)
    except OSError as error:
        raise InputError(f"port {port} on 127.0.0.1: {error.strerror}; leave --port out for a free one") from None
    with server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        out.print(f"{url}  (Ctrl-C ends it)")
        if browser:
            webbrowser.open(url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            out.print("ended")
