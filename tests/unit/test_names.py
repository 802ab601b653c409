"""Whose object is whose."""

from itertools import combinations

from celerylab.topology.names import Instance, label


def test_two_peoples_stacks_of_one_name_never_meet() -> None:
    instances = [
        Instance(backend, project, stack)
        for backend in ("file:///home/a/state", "file:///home/b/state")
        for project in ("celerylab-02", "celerylab-07")
        for stack in ("me", "demo")
    ]
    assert all(one.id != other.id for one, other in combinations(instances, 2))


def test_the_same_stack_has_the_same_id_in_every_process() -> None:
    assert Instance("file:///state", "celerylab-02", "me").id == "bd4f102e08"


def test_labels_say_whose_and_what() -> None:
    instance = Instance("file:///state", "celerylab-02", "me")
    labels = instance.labels("host", "node-1")
    assert labels[label("instance")] == instance.id
    assert labels[label("kind")] == "host"
    assert instance.object_name("node-1") == f"celerylab-{instance.id}-node-1"
