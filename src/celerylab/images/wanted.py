"""Which images modules need, under every choice of their settings."""

from collections.abc import Callable, Iterable

from celerylab.images.bake import bake, missing
from celerylab.images.recipe import Recipe, recipes
from celerylab.paths import project_root
from celerylab.topology.hosts import HostsPlan
from celerylab.topology.kubernetes import make_any_plan
from celerylab.topology.module import load_module, module_folder, module_folders
from celerylab.topology.settings import every_choice


def wanted_images(modules: Iterable[str] = ()) -> list[tuple[HostsPlan, Recipe]]:
    """Each image that `modules` (all by default) need, once, with a plan that leads to it."""
    root = project_root()
    found: dict[str, tuple[HostsPlan, Recipe]] = {}
    for wanted in list(modules) or module_folders(root):
        for choice in every_choice(load_module(module_folder(root, wanted))):
            plan = make_any_plan(root, wanted, {"lab": "starter", **{name: str(value) for name, value in choice.items()}})
            for recipe in recipes(plan):
                found.setdefault(recipe.reference, (plan, recipe))
    return list(found.values())


def bake_wanted(modules: Iterable[str], say: Callable[[str], None]) -> None:
    """Bakes those of them that this machine lacks."""
    for plan, recipe in wanted_images(modules):
        if missing([recipe]):
            bake(plan, recipe, say)
