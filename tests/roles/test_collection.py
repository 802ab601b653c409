"""The collection does its work for people who have nothing else of this repository: no checkout, no Pulumi, no mitogen."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import testinfra
import yaml
from conftest import FILES, remove
from several import LABEL, PROFILE

BROKER, WORKER, NETWORK = "celerylab-test-broker", "celerylab-test-worker", "celerylab-test-collection"
HOSTS = {"broker-1": BROKER, "worker-1": WORKER}
SECRET = "a $ecret"


@pytest.fixture(scope="module")
def collection(root, ansible_environment, tmp_path_factory) -> Path:
    """A folder with the collection, built and installed; the tests run from there."""
    folder = tmp_path_factory.mktemp("collection")
    run(["ansible-galaxy", "collection", "build", "--output-path", str(folder), str(root)], folder, ansible_environment)
    archive = next(folder.glob("celerylab-celery-*.tar.gz"))
    install = ["ansible-galaxy", "collection", "install", "--offline", "--no-deps", "--collections-path", str(folder / "collections")]
    run([*install, str(archive)], folder, ansible_environment)
    return folder


@pytest.fixture(scope="module")
def hosts(bare_image):
    """Two machines with nothing on them."""
    names = (BROKER, WORKER)
    for name in names:
        remove(name)
    subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, check=False)
    proxies = [f"--env={name}={os.environ[name]}" for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ]
    try:
        subprocess.run(["docker", "network", "create", LABEL, NETWORK], check=True, capture_output=True)
        for name in names:
            command = [
                "docker",
                "run",
                "--detach",
                "--name",
                name,
                "--hostname",
                name,
                "--network",
                NETWORK,
                LABEL,
                *PROFILE,
                *proxies,
                bare_image,
            ]
            subprocess.run(command, check=True, capture_output=True)
        yield {name: testinfra.get_host(f"docker://{name}") for name in names}
    finally:
        for name in names:
            remove(name)
        subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, check=False)


@pytest.fixture(scope="module")
def converged(root, collection, hosts, ansible_environment):
    """Runs site.yml over the inventory of docs/roles.md, twice; what the runs said."""
    shutil.copytree(FILES / "app", collection / "app")
    (collection / "requirements.txt").write_text("celery[redis]==5.7.0\ntabulate\n")
    authorities = [os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if os.environ.get(name)]
    inventory = yaml.safe_load(re.search(r"```yaml\n(all:.*?)```", (root / "docs" / "roles.md").read_text(), re.DOTALL)[1])
    addresses = {name: hosts[container].check_output("hostname --ip-address").split()[0] for name, container in HOSTS.items()}
    inventory["all"]["vars"] |= {
        "ansible_connection": "community.docker.docker",
        "base_ca_certificates": authorities[:1],  # a proxy of this machine's user may sign with its own
        "base_hosts": addresses,
        "broker_password": SECRET,
    }
    for group in inventory["all"]["children"].values():
        group["hosts"] = {name: {"ansible_host": HOSTS[name]} for name in group["hosts"]}
    (collection / "inventory.yml").write_text(yaml.safe_dump(inventory))
    without_mitogen = {name: value for name, value in ansible_environment.items() if not name.startswith("ANSIBLE_STRATEGY")}
    environment = {**without_mitogen, "ANSIBLE_COLLECTIONS_PATH": str(collection / "collections")}
    environment.pop("ANSIBLE_ROLES_PATH")
    command = ["ansible-playbook", "-i", "inventory.yml", "celerylab.celery.site"]
    return [run(command, collection, environment) for _ in range(2)]


def run(command, folder, environment):
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-6000:]}{result.stderr[-2000:]}"
    return result.stdout


def test_the_collection_holds_what_a_deployment_needs_and_nothing_of_the_course(collection):
    installed = collection / "collections" / "ansible_collections" / "celerylab" / "celery"
    assert {path.name for path in installed.iterdir()} == {
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "meta",
        "playbooks",
        "roles",
        "site.yml",
    }
    assert json.loads((installed / "MANIFEST.json").read_text())["collection_info"]["dependencies"] == {}
    assert not list(installed.rglob("molecule"))


def test_a_second_run_changes_nothing(converged):
    assert set(re.findall(r"changed=(\d+)", converged[1])) == {"0"}, converged[1][-4000:]


def test_a_task_travels_through_the_broker(converged, hosts):
    environment = "--property EnvironmentFile=/etc/celery/celery.env --working-directory /opt/celery/current"
    code = "from shop import app; print(app.send_task('shop.echo', [42]).get(timeout=20))"
    call = f'systemd-run --quiet --pipe --wait --uid celery {environment} /opt/celery/venv/bin/python -c "{code}"'
    deadline = time.monotonic() + 30
    while not (result := hosts[WORKER].run(call)).succeeded and time.monotonic() < deadline:
        time.sleep(0.5)
    assert result.stdout.strip() == "42", (
        result.stderr + hosts[WORKER].run("journalctl --unit celery@default --no-pager --output cat").stdout
    )


def test_the_default_user_is_refused(converged, hosts):
    ping = "import socket; s = socket.create_connection(('%s', 6379), 5); s.sendall(b'PING\\r\\n'); print(s.recv(99).decode())" % BROKER  # noqa: UP031
    assert "NOAUTH" in hosts[WORKER].check_output(f'python3 -c "{ping}"'.replace("\\", "\\\\"))
    assert "NOAUTH" in hosts[BROKER].check_output("redis-cli PING")


def test_the_worker_is_not_root(converged, hosts):
    pid = int(hosts[WORKER].check_output("systemctl show --value --property MainPID celery@default"))
    assert hosts[WORKER].process.get(pid=pid).user == "celery"


def test_secrets_are_not_in_the_output(converged):
    assert not any(SECRET in output for output in converged)
