"""What one stack keeps from others, from the outside and from curious eyes."""

import json
import os
import re
import socket
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from celerylab.providers.engine import engine
from celerylab.providers.network import NetworkProvider
from celerylab.topology.names import Instance
from tests.live.conftest import LiveStack, run
from tests.live.packets import Watch, uplink

OUTSIDE = "198.51.100.7"  # TEST-NET-2 (RFC 5737): nobody's


def test_two_stacks_of_one_module_live_side_by_side(shared: LiveStack, stack: LiveStack) -> None:
    stack.up()
    one, other = shared.outputs(), stack.outputs()
    assert one["instance"] != other["instance"]
    assert one["hosts"]["node-1"]["address"] != other["hosts"]["node-1"]["address"]
    assert not set(one["endpoints"].values()) & set(other["endpoints"].values())
    assert not set(one["secrets"].values()) & set(other["secrets"].values())
    for live in (shared, stack):
        host, port = live.outputs()["endpoints"]["broker"].split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
    # And one cannot reach the other.
    address = one["hosts"]["node-1"]["address"]
    reach = f"import socket; socket.create_connection(('{address}', 6379), timeout=2)"
    assert stack.container().exec_run(["python3", "-c", reach]).exit_code != 0
    assert shared.container().exec_run(["python3", "-c", reach]).exit_code == 0  # positive control


def test_forty_stacks_at_once_find_addresses() -> None:
    provider = NetworkProvider()
    instances = [Instance("file:///forty", "celerylab-02", str(number)) for number in range(40)]
    wanted = [(instance, key) for instance in instances for key in ("lab", "observe")]
    names = [instance.object_name(key) for instance, key in wanted]
    try:
        with ThreadPoolExecutor(8) as pool:
            created = list(
                pool.map(
                    lambda pair: provider.create({"name": pair[0].object_name(pair[1]), "labels": pair[0].labels("network", pair[1])}),
                    wanted,
                )
            )
        assert len({result.outs["subnet"] for result in created}) == 80
    finally:
        for name in names:
            provider.delete(name, {})


def test_nothing_leaves_the_lab_for_the_uplink(shared: LiveStack, stack: LiveStack) -> None:
    """Packets to nobody's address and look-ups of nobody's name are sent from a host; they show on the lab's bridge, never on the uplink."""
    name = f"x{uuid.uuid4().hex}.example"
    bridge = f"br-{engine().networks.get(f'celerylab-{shared.instance}-lab').id[:12]}"
    send = (
        "import socket\n"
        f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'{name}', ('{OUTSIDE}', 9))\n"
        f"try: socket.create_connection(('{OUTSIDE}', 80), timeout=1)\n"
        "except OSError as error: print('refused', error)\n"
        f"try: print(socket.getaddrinfo('{name}', 80))\n"
        "except OSError as error: print('refused', error)\n"
    )
    gateway = shared.container().exec_run(
        ["sh", "-c", "ip route add default via $(ip -4 -o addr show eth0 | awk '{print $4}' | sed 's/[.][0-9]*[/].*/.1/')"]
    )
    with Watch(uplink()) as outside, Watch(bridge) as inside:
        stack.up()  # also while an environment comes up
        shared.on_host("python3", "-c", send)
        with shared_fault(shared):
            time.sleep(1)
        time.sleep(1)
    shared.container().exec_run(["ip", "route", "del", "default"])
    pool = re.compile(rb"^10\.213\.")
    assert [packet for packet in outside.packets if pool.match(packet.source.encode()) or pool.match(packet.destination.encode())] == []
    assert [packet for packet in outside.packets if packet.destination == OUTSIDE] == []
    assert [packet for packet in outside.packets if name.split(".")[0].encode() in packet.content] == []
    assert inside.packets, "the watch sees nothing at all"
    if gateway.exit_code == 0:
        assert [packet for packet in inside.packets if packet.destination == OUTSIDE], "the attempt never reached the bridge"


class shared_fault:  # noqa: N801 (reads as a statement)
    """Redis of a stack is away for a moment."""

    def __init__(self, live: LiveStack) -> None:
        self._live = live

    def __enter__(self) -> None:
        self._live.on_host("systemctl", "stop", "redis-server")

    def __exit__(self, *_: object) -> None:
        self._live.on_host("systemctl", "start", "redis-server")


def test_a_limit_of_a_unit_is_enforced(shared: LiveStack) -> None:
    """On some engines MemoryMax= looks set and is not: this one kills at 50 MB, and leaves 20 MB alone."""
    hog = "x = bytearray({} * 2**20); x[::4096] = b'x' * len(x[::4096])"
    limited = ["systemd-run", "--quiet", "--wait", "--pipe", "-p", "MemoryMax=50M", "-p", "MemorySwapMax=0", "python3", "-c"]
    assert shared.container().exec_run([*limited, hog.format(20)]).exit_code == 0
    assert shared.container().exec_run([*limited, hog.format(200)]).exit_code != 0


def test_no_secret_is_in_state_logs_or_process_lists(stack: LiveStack, tmp_path: Path) -> None:
    """Every generated secret is looked for where none may be, while the stack comes up, is verified and goes."""
    seen: list[str] = []
    stop = threading.Event()

    def watch_processes() -> None:
        while not stop.is_set():
            seen.append(subprocess.run(["ps", "-eo", "args", "ww"], capture_output=True, text=True, check=True).stdout)
            time.sleep(0.1)

    watcher = threading.Thread(target=watch_processes)
    watcher.start()
    try:
        stack.celerylab("up", "--lab", "solution")
        log = tmp_path / "up.log"
        log.write_text(stack.pulumi("up", "--yes", "--diff", "--debug", "--logtostderr", "-v=3").stderr, encoding="utf-8")
        verified = stack.celerylab("verify", "-o", "02.3")
        outputs = stack.outputs()
        exported = stack.pulumi("stack", "export").stdout
        plain = stack.pulumi("stack", "output").stdout
    finally:
        stop.set()
        watcher.join()
    secrets = outputs["secrets"]
    assert len(secrets) == 2
    places = {
        "the exported state": exported,
        "pulumi's outputs": plain,
        "pulumi's debug log": log.read_text(encoding="utf-8"),
        "celerylab's output": verified.stdout + verified.stderr,
        "process lists": "\n".join(seen),
        "logs of containers": "".join(stack.container(name).logs().decode() for name in ("node-1", "gateway", "ledger")),
        "journals": stack.on_host("journalctl", "--no-pager"),
        "what containers are made of": json.dumps([stack.container(name).attrs for name in ("node-1", "gateway", "ledger")]),
        "results and evidence": _text_under(Path(os.environ["CELERYLAB_DATA"]) / "results"),
    }
    found = [(place, name) for place, text in places.items() for name, value in secrets.items() if value in text]
    assert found == []
    assert all(place and text for place, text in places.items())
    # The same look finds a secret where there is one.
    assert secrets["broker_password"] in stack.on_host("cat", "/etc/celery/celery.env")
    stack.celerylab("down")
    assert secrets["broker_password"] not in run(["sh", "-c", "cat /dev/shm/celerylab-*/* 2>/dev/null || true"], stack.folder).stdout


def _text_under(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*") if path.is_file())
