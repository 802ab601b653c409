"""What the single-node program registers, before any of it exists."""

from pathlib import Path

import pulumi
import pytest

from tests.render.conftest import Program, Registered


def named(registered: list[Registered], kind: str) -> dict[str, Registered]:
    return {resource.name: resource for resource in registered if resource.type == kind}


def test_every_resource_is_registered_once_with_its_type(program: Program) -> None:
    registered, _ = program("single-node", module="02", lab="solution")
    assert sorted((resource.type, resource.name) for resource in registered) == sorted(
        [
            ("celerylab:index:LabEnvironment", "lab-02"),
            ("Lease", "lab-02-lease"),
            ("Network", "lab-02-lab"),
            ("Network", "lab-02-observe"),
            ("Secret", "lab-02-broker-password"),
            ("Secret", "lab-02-ledger-token"),
            ("Ledger", "lab-02-ledger"),
            ("Gateway", "lab-02-gateway"),
            ("celerylab:index:Machine", "lab-02-node-1"),
            ("Host", "lab-02-node-1-host"),
            ("Converge", "lab-02-node-1-converge"),
        ]
    )


def test_the_harness_can_fail(program: Program) -> None:
    """The canary: were the program not run, or its registrations not recorded, this would not raise."""
    registered, _ = program("single-node", module="02", lab="solution")
    with pytest.raises(KeyError):
        named(registered, "Host")["lab-02-node-2-host"]


def test_a_host_has_limits_labels_and_both_networks(program: Program) -> None:
    registered, _ = program("single-node", module="02", lab="solution")
    host = named(registered, "Host")["lab-02-node-1-host"].inputs
    assert host["hostname"] == "node-1"
    assert host["memory"] == 512 * 2**20
    assert host["capabilities"] == ["SYS_ADMIN"]
    assert [network["address"] for network in host["networks"]] == ["10.213.0.10", "10.213.1.10"]
    assert host["labels"]["io.celerylab.kind"] == "host"
    assert host["name"] == f"celerylab-{host['labels']['io.celerylab.instance']}-node-1"


def test_the_gateway_publishes_the_broker_and_the_ledger(program: Program) -> None:
    registered, exports = program("single-node", module="02", lab="solution", ports="broker=16379")
    gateway = named(registered, "Gateway")["lab-02-gateway"].inputs
    assert gateway["targets"] == {"broker": "10.213.0.10:6379", "ledger": "10.213.1.3:8400"}
    assert gateway["fixed"] == {"broker": 16379}
    assert exports["endpoints"] == {"broker": "127.0.0.1:20000", "ledger": "127.0.0.1:20001"}


def test_no_secret_is_among_a_host_s_variables(program: Program) -> None:
    registered, _ = program("single-node", module="02", lab="solution")
    converge = named(registered, "Converge")["lab-02-node-1-converge"].inputs
    assert converge["secrets"] == {"broker_password": "secret-of-lab-02-broker-password", "ledger_token": "secret-of-lab-02-ledger-token"}
    assert "secret-of" not in converge["variables"]
    assert "secret-of" not in str(converge["context"])


def test_another_broker_is_another_role_port_and_secret(program: Program) -> None:
    registered, _ = program("single-node", module="02", lab="solution", broker="rabbitmq")
    converge = named(registered, "Converge")["lab-02-node-1-converge"].inputs
    assert [role["name"] for role in converge["roles"]] == ["base", "rabbitmq", "celery_app", "celery_worker"]
    assert named(registered, "Gateway")["lab-02-gateway"].inputs["targets"]["broker"] == "10.213.0.10:5672"
    assert "lab-02-erlang-cookie" in named(registered, "Secret")


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"module": "77"}, "there is no module 77"),
        ({"module": "02", "broker": "kafka"}, "write one of redis, rabbitmq"),
        ({"module": "02", "lab": "nowhere"}, "which is no folder"),
    ],
)
def test_a_contradiction_is_one_line_before_any_resource_exists(program: Program, configuration: dict[str, str], words: str) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        program("single-node", **configuration)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_programs_are_thin(root: Path) -> None:
    for path in (root / "stacks").glob("*/__main__.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, path
