"""Every stack of this machine: on its Docker engine, and on the clusters that are there."""

from typing import Any

from celerylab.cli.console import err
from celerylab.errors import CelerylabError
from celerylab.paths import project_root
from celerylab.providers.instances import DeployedInstance, deployed_instances
from celerylab.pulumi_stack import CLUSTER, PulumiStack
from celerylab.topology.module import module_folders
from celerylab.topology.names import project_name


def every_instance() -> list[DeployedInstance]:
    """Instances on this engine, and before each cluster of ours the stacks that are on it: they have to go first."""
    found = []
    for instance in deployed_instances():
        if instance.project == project_name(CLUSTER):
            found += _on_cluster(instance)
        found.append(instance)
    return found


def owner_of(instance: DeployedInstance) -> tuple[PulumiStack | None, dict[str, Any]]:
    """The stack that owns an instance, and its outputs; nothing where another backend has its state, or none has it any more."""
    root = project_root()
    folders = {**module_folders(root), CLUSTER: root / "stacks" / CLUSTER}
    folder = folders.get(instance.project.removeprefix(project_name("")))
    owner = PulumiStack(folder, instance.stack) if folder else None
    if owner is None or owner.instance.id != instance.id:
        return None, {}
    try:
        return owner, owner.outputs()
    except CelerylabError:
        return None, {}


def _on_cluster(instance: DeployedInstance) -> list[DeployedInstance]:
    owner, _ = owner_of(instance)
    if owner is None:
        return []
    from celerylab.kubernetes import client_of, spaces_of  # here, because importing it costs more than most commands take

    try:
        spaces = spaces_of(client_of(owner.secret_output("ClusterAccess", "kubeconfig")))
    except CelerylabError as error:
        err.print(f"cluster {owner.name}: {error}", style="yellow", markup=False)
        return []
    return [_instance(space) for space in spaces]


def _instance(space: dict[str, Any]) -> DeployedInstance:
    project, _, stack = space["stack"].partition("/")
    return DeployedInstance(space["instance"], project, stack, space["created"], space["pods"])
