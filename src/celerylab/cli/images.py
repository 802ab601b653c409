"""`celerylab images`: what is baked, baking, pruning."""

from typing import Annotated, Any

import typer
from rich.table import Table

from celerylab.cli.arguments import Json
from celerylab.cli.console import out, print_json, step
from celerylab.images.bake import bake as bake_image
from celerylab.images.bake import missing
from celerylab.images.inventory import baked_images, remove_image
from celerylab.images.wanted import wanted_images
from celerylab.topology.units import format_bytes

app = typer.Typer(help="Images of hosts: list, bake, prune.", no_args_is_help=True)
Modules = Annotated[list[str], typer.Argument(metavar="[MODULE]...", help="Modules; all by default.")]


@app.command("list")
def list_images(json_: Json = False) -> None:
    """Lists the images on this machine, and whether the present roles still ask for them."""
    wanted = {recipe.reference for _, recipe in wanted_images()}
    rows = [{**image, "current": image["reference"] in wanted} for image in baked_images()]
    if json_:
        print_json(rows)
        return
    table = Table("image", "recipe", "size", "current", box=None)
    for row in rows:
        table.add_row(row["reference"], row["recipe"], format_bytes(row["bytes"]), "yes" if row["current"] else "no, prune removes it")
    out.print(table)


@app.command()
def bake(modules: Modules = []) -> None:  # noqa: B006 (typer reads it once)
    """Bakes what modules need and this machine lacks, for every choice of their settings.

    Example: celerylab images bake 02
    """
    todo = wanted_images(modules)
    for plan, recipe in todo:
        if missing([recipe]):
            with step(f"baking {recipe.name}") as baking:
                bake_image(plan, recipe, baking.say)
    out.print(f"{len({recipe.reference for _, recipe in todo})} images are ready")


@app.command()
def prune(json_: Json = False) -> None:
    """Removes images of ours that the present roles do not ask for any more; those in use stay."""
    wanted = {recipe.reference for _, recipe in wanted_images()}
    removed = [image for image in baked_images() if image["reference"] not in wanted and remove_image(image["reference"])]
    freed: Any = sum(image["bytes"] for image in removed)
    if json_:
        print_json({"removed": [image["reference"] for image in removed]})
    else:
        out.print(f"removed {len(removed)} images (together up to {format_bytes(freed)}; layers that others share stay)")
