"""What a node of a cluster does beside what RabbitMQ does by itself. Arguments: what to do, the node, seconds, the other nodes of the cluster.

- `forget` lets the others forget the node of this name, because its database is not on this host; says so if one did.
- `left` lets the cluster forget nodes that are none of the others and do not run; names these, and those that run.
- `let_go` waits until the others can do without the node.
- `restart` does that and restarts the node, if what it reads is newer than the node; says so if it did.
- `wait` waits until the node serves its clients; ends with 1 if it does not start, with 75 if it still tries to. Names those that have not joined.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ACTION, NODE, SECONDS, *OTHERS = sys.argv[1:]
DEADLINE = time.monotonic() + float(SECONDS)
UNIT = "rabbitmq-server.service"
READ = [Path(f"/etc/systemd/system/{UNIT}.d/50-role.conf"), Path("/var/lib/rabbitmq/.erlang.cookie")]
READ += [Path("/etc/rabbitmq") / name for name in ("rabbitmq.conf", "conf.d/90-local.conf", "enabled_plugins", "rabbitmq-env.conf")]
RUNS = "rabbit:is_running().\n"  # erl_call takes what has no end of line for incomplete

# The members of quorum queues go as well: an empty node in the place of one that had confirmed messages could help to elect a leader without them.
# Where the host is gone, RabbitMQ tries for seconds to reach it for each queue.
FORGET = """
Outside = fun() -> [Node || Node <- rabbit_mnesia:cluster_nodes(all), %s, rabbit:is_running()] end,
Runs = fun(Node) -> lists:member(Node, rabbit_mnesia:cluster_nodes(running)) end,
Forget = fun() ->
    lists:flatten([case Runs(Node) of
        true -> io_lib:format("~s runs: stop it, and the next run lets it go; ", [Node]);
        false ->
            ok = rabbit_mnesia:forget_cluster_node(Node, false),
            rabbit_quorum_queue:shrink_all(Node),
            io_lib:format("~s is forgotten; ", [Node])
    end || Node <- Outside()])
end,
global:trans({rabbitmq_role, self()}, Forget, rabbit_mnesia:cluster_nodes(running), 20).
"""
STATE = """
case [lists:member('%s', rabbit_mnesia:cluster_nodes(Which)) || Which <- [all, running]] of
    [false, _] -> {rabbit:is_running(), unknown};
    [true, Runs] -> {rabbit:is_running(), Runs}
end.
"""

# A booting node counts as one of Mnesia's running ones. Without a majority the rest would pause.
MAJORITY = """
Others = [Node || Node <- rabbit_mnesia:cluster_nodes(running) -- [node()], rabbit:is_running(Node)],
All = length(rabbit_mnesia:cluster_nodes(all)),
not rabbit:is_running() orelse case application:get_env(rabbit, cluster_partition_handling) of
    {ok, pause_minority} when All > 2 -> 2 * length(Others) > All;
    _ -> Others =/= [] orelse All =:= 1
end.
"""


def ask(node: str, expression: str, seconds: float = 15) -> str:
    """What a node answers to an Erlang expression; nothing if nobody is there. erl_call takes milliseconds, rabbitmqctl a second."""
    environment = {**os.environ, "HOME": "/var/lib/rabbitmq"}  # where the secret is
    command = ["erl_call", "-sname", node, "-e"]
    try:
        result = subprocess.run(command, input=expression, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "no answer in time"
    return re.sub(r"^\{ok, (.*)\}$", r"\1", result.stdout.strip(), flags=re.DOTALL)


def run(*command: str) -> tuple[int, str]:
    """How a command ended, and what it said in one line."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, " ".join((result.stdout + result.stderr).split())


def drop(node: str, which: str) -> str:
    """Has a node forget others; what it said of each, in quotes unless there is none."""
    said = ask(node, FORGET % which, float(SECONDS))
    if not re.fullmatch(r'(".*"|\[\])', said):
        sys.exit(f"{node} does not forget: {said}")
    return said.strip('[]"; ')


def forget() -> str:
    """One that runs decides. Where none does, this is a new cluster, unless one knows this node: then it has the messages, and is waited for."""
    while True:
        answers = {node: ask(node, STATE % NODE) for node in OTHERS}
        for node, answer in answers.items():
            if answer == "{true, false}":
                drop(node, f"Node =:= '{NODE}'")
                return f"{NODE} is new on this host: the cluster forgot the one that it knew by this name\n"
        if "{true, unknown}" in answers.values() or set(answers.values()) <= {"", "{false, unknown}"}:
            return ""
        if time.monotonic() > DEADLINE:
            break
        time.sleep(1)
    if running := [node for node, answer in answers.items() if answer == "{true, true}"]:
        sys.exit(f"{NODE} has no database here, and {running[0]} says that it runs elsewhere: write another rabbitmq_nodename")
    known = ", ".join(node for node, answer in answers.items() if answer not in ("", "{false, unknown}"))
    sys.exit(
        f"{NODE} has no database here, and of the nodes that may know it none serves ({known}): started now, it could begin a cluster without "
        "their messages. Start them, or let one go on without the others as the README says"
    )


def left() -> str:
    """Only where the node runs: else there is nobody to ask."""
    if ask(NODE, RUNS) != "true":
        return ""
    said = drop(NODE, "not lists:member(Node, ['" + "', '".join([NODE, *OTHERS]) + "'])")
    return f"not in rabbitmq_cluster_nodes: {said}\n" if said else ""


def let_go() -> None:
    """RabbitMQ's own check is about quorum queues only."""
    while True:
        said = "too few other nodes of its cluster run"
        if ask(NODE, MAJORITY) == "true":
            code, said = run("rabbitmq-diagnostics", "--quiet", "check_if_node_is_quorum_critical")
            if not code:
                return
        if time.monotonic() > DEADLINE:
            sys.exit(f"{NODE} goes on as it is, because the others cannot do without it: {said}")
        time.sleep(1)


def restart() -> str:
    """A run that was refused is made good by the next one, so not by what this run has changed."""
    _, started = run("systemctl", "show", "--value", "--property=ExecMainStartTimestampMonotonic", UNIT)
    if max(path.stat().st_mtime for path in READ) < int(started) / 1e6 + time.time() - time.monotonic():
        return ""
    if run("systemctl", "is-active", UNIT)[1] != "active":
        run("systemctl", "restart", "--no-block", UNIT)  # it may wait for others
    else:
        let_go()
        if run("timeout", SECONDS, "systemctl", "restart", UNIT)[0]:
            sys.exit(f"{NODE} does not start with its new configuration; the other nodes keep the one they have")
    return f"{NODE} was restarted\n"


def wait() -> str:
    """A node whose peers are down waits for them as long as it takes, or is paused because it is in the minority."""
    if (code := run("timeout", SECONDS, "systemctl", "start", UNIT)[0]) not in (0, 124):
        sys.exit(1)
    while (serves := ask(NODE, RUNS) == "true") is False and time.monotonic() < DEADLINE and not code:
        time.sleep(0.5)
    if not serves:
        down = ", ".join(node for node in OTHERS if ask(node, RUNS, 5) != "true")
        sys.stderr.write(f"{NODE} does not serve after {SECONDS} s and goes on trying. It waits for the others of its cluster; ")
        sys.stderr.write(f"these do not run: {down or 'none'}. Start them, or let it go on without them as the README says")
        sys.exit(75)
    members = re.findall(r"[\w-]+@[\w-]+", ask(NODE, "rabbit_mnesia:cluster_nodes(all).\n"))
    return "".join(f"{node} is not in the cluster of {NODE} yet\n" for node in OTHERS if node not in members)


sys.stdout.write({"forget": forget, "left": left, "let_go": let_go, "restart": restart, "wait": wait}[ACTION]() or "")
