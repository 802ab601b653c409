"""10.5: who can knock at the broker's door."""

from celerylab.verify.expect import expect
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack

LOOK = "celerylab shell 10 node-1 -- nft list table inet firewall"
PORT_OF_CONTROL = 20010
_LISTEN = f"""
import socket, sys
listener = socket.create_server(("0.0.0.0", {PORT_OF_CONTROL}))
listener.settimeout(15)
try:
    listener.accept()
except TimeoutError:
    pass
"""
_KNOCK = """
import socket, sys, time
deadline = time.monotonic() + float(sys.argv[3])
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
        print("open")
    except ConnectionRefusedError as error:
        if time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        print("closed:", error)
    except OSError as error:
        print("closed:", error)
    break
"""


@objective("10.5")
def test_a_stranger_is_kept_out_and_an_ally_is_not(hosts: dict[str, ObservedHost], stack: Stack) -> None:
    stranger, ally = hosts["stranger-1"], hosts["ally-1"]
    address = stack.hosts["node-1"]["address"]
    ally.check_output("nohup python3 -c %s >/dev/null 2>&1 &", _LISTEN)
    control = _knock(stranger, stack.hosts["ally-1"]["address"], PORT_OF_CONTROL, patience=5)
    expect(
        control == "open",
        observed=f"the stranger's way to another host of the network is {control}",
        expected="open (else being kept out by this one would mean nothing)",
    )
    answers = {port: _knock(stranger, address, port) for port in (stack.broker.port, stack.broker.tls_port)}
    reached = [port for port, answer in answers.items() if answer == "open"]
    from_ally = _knock(ally, address, stack.broker.tls_port)
    expect(
        control == "open" and not reached and from_ally == "open",
        observed=f"stranger-1 reaches {' and '.join(f'port {port}' for port in reached) or 'no port'} of the broker; "
        f"for ally-1, port {stack.broker.tls_port} is {from_ally}",
        expected=f"that stranger-1 reaches none, and ally-1 the TLS port {stack.broker.tls_port}",
        look=LOOK,
        stranger_reaches=len(reached),
        ally_reaches=from_ally == "open",
    )


def _knock(host: ObservedHost, address: str, port: int, patience: float = 0) -> str:
    return str(host.check_output("python3 -c %s %s %s %s", _KNOCK, address, str(port), str(patience)).strip())
