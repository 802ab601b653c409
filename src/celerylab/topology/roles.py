"""What the Ansible roles know: their variables and types, what an image bakes of them, and hashes of both."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from celerylab.digest import digest_file, digest_json, digest_tree
from celerylab.errors import InputError
from celerylab.topology.source import Location, Source, read_yaml, suggestion

_NOT_CODE = {"molecule", "README.md", "__pycache__"}
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str, int, float),
    "path": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
_WORDS = {
    "str": "a text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a map",
}


@dataclass(frozen=True)
class Role:
    """One folder under roles/."""

    name: str
    path: Path

    @cached_property
    def _specs(self) -> dict[str, Any]:
        specs: dict[str, Any] = read_yaml(self.path / "meta" / "argument_specs.yml").data["argument_specs"]
        return specs

    @property
    def options(self) -> dict[str, Any]:
        """Every variable of the role, with its argument spec."""
        options: dict[str, Any] = self._specs["main"].get("options", {})
        return options

    @property
    def install_options(self) -> list[str]:
        """Names of the variables that the `install` part uses: with install.yml they decide what an image holds."""
        return sorted(self._specs.get("install", {}).get("options", {}))

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The variables' default values."""
        values: dict[str, Any] = read_yaml(self.path / "defaults" / "main.yml").data
        return values

    @cached_property
    def digest(self) -> str:
        """Hash of all that a run of this role executes."""
        return digest_tree(self.path, ignore=_NOT_CODE)

    def install_digest(self, variables: dict[str, Any]) -> str:
        """Hash of what baking executes: install*.yml, the role's vars, files it names, and its variables' values."""
        tasks = sorted((self.path / "tasks").glob("install*.yml"))
        text = "".join(path.read_text(encoding="utf-8") for path in tasks)
        named = [path for folder in ("files", "templates") for path in sorted((self.path / folder).rglob("*")) if path.name in text]
        sources = [*tasks, *sorted((self.path / "vars").glob("*.yml")), *(path for path in named if path.is_file())]
        values = {name: variables.get(name, self.defaults.get(name)) for name in self.install_options}
        return digest_json([{str(path.relative_to(self.path)): digest_file(path) for path in sources}, values])


class Roles:
    """All roles under one folder; the longest role name that a variable begins with owns it."""

    def __init__(self, folder: Path) -> None:
        self._roles = {
            path.parent.parent.name: Role(path.parent.parent.name, path.parent.parent) for path in folder.glob("*/tasks/main.yml")
        }

    def __getitem__(self, name: str) -> Role:
        try:
            return self._roles[name]
        except KeyError:
            raise InputError(f"there is no role {name}{suggestion(name, sorted(self._roles))}; look into roles/") from None

    def owner(self, variable: str) -> str | None:
        """Name of the role whose variable this is by its prefix, or None."""
        owners = [name for name in self._roles if variable.startswith(f"{name}_")]
        return max(owners, key=len, default=None)

    def check(self, source: Source, location: Location, among: set[str]) -> None:
        """Refuses variables at `location` of `source` that none of the roles `among` knows, and values of a wrong type.

        Raises InputError with file, line and what to write instead.
        """
        variables = source.data
        for part in location:
            variables = variables.get(part, {})
        if not isinstance(variables, dict):
            raise source.error(location, "write variables as `name: value`")
        known = sorted(name for role in among for name in self[role].options)
        for name, value in variables.items():
            owner = self.owner(str(name))
            if owner not in among or name not in known:
                raise source.error(
                    (*location, name), f"{name}: no role of this environment has such a variable{suggestion(str(name), known)}"
                )
            wanted = self[owner].options[name].get("type", "str")
            if isinstance(value, str) and "{{" in value:
                continue
            if not isinstance(value, _TYPES.get(wanted, (object,))) or (wanted != "bool" and isinstance(value, bool)):
                raise source.error((*location, name), f"{name}: write {_WORDS[wanted]}, not {value!r}")
