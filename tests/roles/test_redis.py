"""redis on an unbaked host."""

import shlex
import subprocess
from contextlib import contextmanager

import pytest

ROLE = "redis"
PASSWORD = "a $ecret # word"
ADDRESS = "$(hostname --ip-address | cut -d' ' -f1)"
TLS = """port 0
tls-port 6380
tls-cert-file /etc/redis/redis.crt
tls-key-file /var/lib/redis/redis.key
tls-ca-cert-file /etc/redis/redis.crt
tls-auth-clients no
tls-protocols "TLSv1.2 TLSv1.3"
"""


def certificate(scenario):
    """A certificate of its own authority, with a key that Redis may read."""
    scenario.host.check_output(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout /var/lib/redis/redis.key -out /etc/redis/redis.crt -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null && chown redis /var/lib/redis/redis.key"
    )


def redis(scenario, *words, user="celery", password=PASSWORD, address="127.0.0.1"):
    who = f"--user {user} --pass {shlex.quote(password)} --no-auth-warning" if user else ""
    result = scenario.host.run(f"redis-cli -h {address} {who} {shlex.join(words)}")
    return (result.stdout + result.stderr).strip()


def test_it_runs_and_starts_at_boot(scenario):
    service = scenario.host.service("redis-server")
    assert service.is_running
    assert service.is_enabled
    assert scenario.host.process.get(comm="redis-server").user == "redis"


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_the_user_is_let_in_here_and_from_elsewhere(scenario, address):
    assert redis(scenario, "SET", "celery", "yes", address=address) == "OK"
    assert redis(scenario, "GET", "celery", address=address) == "yes"


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_nobody_else_is_let_in(scenario, address):
    assert "NOAUTH" in redis(scenario, "PING", user=None, address=address)
    assert "WRONGPASS" in redis(scenario, "PING", user="default", password="", address=address)
    assert "WRONGPASS" in redis(scenario, "PING", password="wrong", address=address)


def test_the_user_cannot_harm_the_server(scenario):
    for command in (["CONFIG", "GET", "*"], ["FLUSHALL"], ["SHUTDOWN"], ["ACL", "LIST"]):
        assert "NOPERM" in redis(scenario, *command), command


def test_no_password_is_on_the_disk_in_clear(scenario):
    assert scenario.host.run("grep --recursive --fixed-strings %s /etc /var/lib/redis /var/log", PASSWORD).stdout == ""
    file = scenario.host.file("/etc/redis/users.conf")
    assert (file.user, file.group, file.mode) == ("root", "redis", 0o640)
    assert "celery on #" in file.content_string


def test_data_survive_a_crash(scenario):
    transaction = "MULTI\\nRPUSH pushed 1\\nRPUSH pushed 2\\nEXEC\\n"
    scenario.host.check_output(f"printf '{transaction}' | redis-cli --user celery --pass {shlex.quote(PASSWORD)} --no-auth-warning")
    redis(scenario, "SET", "kept", "through a crash")
    scenario.host.run("sleep 1.2")  # appendfsync everysec promises no more
    before = scenario.host.check_output("systemctl show --value --property MainPID redis-server")
    scenario.host.check_output(f"kill -9 {before}")
    scenario.poll(f"redis-cli --user celery --pass {shlex.quote(PASSWORD)} --no-auth-warning GET kept", "through a crash")
    assert scenario.host.check_output("systemctl show --value --property MainPID redis-server") != before
    assert redis(scenario, "LLEN", "pushed") == "2", "a transaction is lost: Redis replays its file as the default user"


def in_force(scenario, name):
    return redis(scenario, "CONFIG", "GET", name, user="admin", password="admin").split("\n")[-1]


# A client that stays: answers each line that it hears with what Redis says to a PING.
CLIENT = """
import socket, sys
user, password = sys.argv[1:]
redis = socket.create_connection(("127.0.0.1", 6379))
redis.settimeout(5)
ask = lambda *words: redis.sendall(b"*%d\\r\\n" % len(words) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(w.encode()), w.encode()) for w in words))
ask("AUTH", user, password)
while True:
    try:
        print(redis.recv(100).decode().strip() or "closed", flush=True)
        sys.stdin.readline() and ask("PING")
    except OSError:
        print("closed", flush=True)
        break
"""


@contextmanager
def connected(scenario, user, password):
    """A question whether a client, connected as that user from now on, still is."""
    command = ["docker", "exec", "-i", scenario.container, "python3", "-c", CLIENT, user, password]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "+OK\n"

        def stays():
            client.stdin.write("\n")
            client.stdin.flush()
            return client.stdout.readline() == "+PONG\n"

        try:
            assert stays()
            yield stays
        finally:
            client.kill()


def users(**passwords):
    return [{"name": name, "password": password, "rules": "~* &* +@all -@dangerous +info +keys"} for name, password in passwords.items()]


def test_users_change_while_redis_runs_and_only_their_clients_notice(scenario):
    process = scenario.host.process.get(comm="redis-server").pid
    with connected(scenario, "celery", PASSWORD) as celery_stays:
        run = scenario.converge(redis_users=users(celery=PASSWORD, next="one", leaked="two"))
        assert "redis : Change users where Redis runs" in run.changed
        with connected(scenario, "next", "one") as next_stays, connected(scenario, "leaked", "two") as leaked_stays:
            assert scenario.converge(redis_users=users(celery=PASSWORD, next="one", leaked="two")).changed == []
            scenario.converge(redis_users=users(celery=PASSWORD, leaked="three"))
            assert not next_stays(), "a user that is gone is still connected"
            assert not leaked_stays(), "who came in with the former password is still connected"
        assert celery_stays(), "the change of others' users closed this one's connection"
    assert scenario.host.process.get(comm="redis-server").pid == process
    users_are_those(scenario)
    scenario.host.check_output(f"kill -9 {process}")
    scenario.poll("redis-cli --user leaked --pass three --no-auth-warning PING", "PONG")
    users_are_those(scenario)


def users_are_those(scenario):
    assert redis(scenario, "PING") == "PONG"
    assert redis(scenario, "PING", user="leaked", password="three") == "PONG"
    assert "WRONGPASS" in redis(scenario, "PING", user="leaked", password="two")
    assert "WRONGPASS" in redis(scenario, "PING", user="next", password="one")


def test_a_user_that_redis_refuses_changes_nothing(scenario):
    before = scenario.host.file("/etc/redis/users.conf").content_string
    wrong = [*users(celery=PASSWORD, third="x"), {"name": "fourth", "password": "x", "rules": "~* +@everthing"}]
    with connected(scenario, "celery", PASSWORD) as stays:
        for _ in range(2):
            run = scenario.converge(redis_users=wrong, fails=True)
            assert (
                "what was in force still is: user fourth: Error in ACL SETUSER modifier '+@everthing': Unknown command or category"
                in run.output
            )
        assert stays()
    assert scenario.host.file("/etc/redis/users.conf").content_string == before
    assert "WRONGPASS" in redis(scenario, "PING", user="third", password="x")


def test_what_was_changed_by_hand_is_made_good(scenario):
    key = scenario.host.file("/etc/redis/users.key")
    assert (key.user, key.mode) == ("root", 0o400)
    scenario.host.check_output(f"redis-cli --user ansible --pass {key.content_string} --no-auth-warning ACL SETUSER celery off")
    assert "WRONGPASS" in redis(scenario, "PING")
    assert scenario.converge(redis_users=users(celery=PASSWORD, leaked="three")).changed == ["redis : Change users where Redis runs"]
    assert redis(scenario, "PING") == "PONG"
    scenario.converge()


def test_your_own_file_wins(scenario):
    (scenario.files / "redis.conf").write_text("maxmemory 33mb\nuser admin on >admin ~* &* +@all\n")
    assert "redis : Start Redis and enable it at boot" in scenario.converge().changed
    assert in_force(scenario, "maxmemory") == str(33 * 1024 * 1024)
    assert in_force(scenario, "maxmemory-policy") == "noeviction"
    assert in_force(scenario, "appendonly") == "yes"


def test_rules_of_your_own_keep_the_password_of_the_user(scenario):
    (scenario.files / "redis.conf").write_text("user celery on ~mine:* &* +@all -@dangerous +info\nuser admin on >admin ~* &* +@all\n")
    scenario.converge()
    assert redis(scenario, "SET", "mine:1", "yes") == "OK"
    assert "NOPERM" in redis(scenario, "SET", "theirs:1", "yes")
    assert "NOAUTH" in redis(scenario, "PING", user=None)
    (scenario.files / "redis.conf").write_text("user celery on >native ~* &* +@all\n")
    scenario.converge()
    assert redis(scenario, "PING", password="native") == "PONG"


def test_a_user_in_two_lines_is_refused_before_the_next_start_fails(scenario):
    own = scenario.files / "redis.conf"
    before = own.read_text()
    own.write_text("user celery on >native ~* &* +@all\nuser celery on >other ~* &* +@all\n")
    assert "what was in force still is: user celery is defined in two lines" in scenario.converge(fails=True).output
    assert redis(scenario, "PING", password="native") == "PONG"
    own.write_text(before)
    scenario.converge()


def test_tls_replaces_the_plain_port(scenario):
    certificate(scenario)
    (scenario.files / "redis.conf").write_text(TLS)
    scenario.converge()
    ports = {line.split()[3].rsplit(":", 1)[1] for line in scenario.host.check_output("ss -Hltn").splitlines()}
    assert "6380" in ports
    assert "6379" not in ports
    answer = scenario.host.run(
        f"redis-cli -h 127.0.0.1 --tls --cacert /etc/redis/redis.crt -p 6380 --user celery --pass {shlex.quote(PASSWORD)} PING"
    )
    assert "PONG" in answer.stdout, answer.stderr


@pytest.mark.parametrize("line", ["user default on nopass ~* &* +@all", "requirepass native"])
def test_your_own_default_user_replaces_ours(scenario, line):
    (scenario.files / "redis.conf").write_text(f"{line}\nprotected-mode no\n")
    scenario.converge()
    password = "native" if "native" in line else ""
    assert redis(scenario, "PING", user="default" if password else None, password=password, address=ADDRESS) == "PONG"
    assert redis(scenario, "PING") == "PONG"


def test_a_file_that_is_not_there_counts_as_none(scenario):
    (scenario.files / "redis.conf").unlink()
    scenario.converge()
    assert "NOAUTH" in redis(scenario, "PING", user=None)


def test_a_line_that_redis_refuses_is_named(scenario):
    (scenario.files / "redis.conf").write_text("maxmemry 33mb\n")
    run = scenario.converge(fails=True)
    assert "Redis does not start with this configuration" in run.output
    assert "'maxmemry 33mb'" in run.output or "maxmemry 33mb" in run.output
    (scenario.files / "redis.conf").write_text("")
    scenario.converge()
    assert redis(scenario, "PING") == "PONG"


def test_an_open_door_is_refused(scenario):
    run = scenario.converge("--check", redis_users=[], fails=True)
    assert "redis_bind: * -::* lets other hosts in; write redis_users with a name and a password, or bind to 127.0.0.1" in run.output


def test_the_name_of_the_roles_own_user_is_refused(scenario):
    run = scenario.converge("--check", redis_users=users(ansible="x"), fails=True)
    assert "redis_users: ansible is the name of this role's own user; write another" in run.output


def test_replication_that_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        redis_replication_user={"name": "celery", "password": "x"},
        redis_users=users(celery="x"),
        redis_replica_of={"port": 6379},
        redis_sentinels={"name": "main", "hosts": ["data-1"]},
        redis_announce_host="data-1:6379 ",
        redis_min_replicas_to_write=-1,
    )
    for said in (
        "redis_replication_user: write a name that is neither in redis_users nor ansible or default",
        "redis_replica_of: write a host and perhaps a port, or nothing at all for a primary",
        "redis_sentinels: write hosts as host:port, not data-1",
        "redis_announce_host: write a name or an address without a port",
        "redis_min_replicas_to_write, redis_replica_wait_seconds: write 0 or more",
    ):
        assert said in run.output
    run = scenario.converge("--check", fails=True, redis_replica_of={"host": "data-1"})
    assert (
        "redis_replica_of, redis_sentinels, redis_min_replicas_to_write: write redis_replication_user, on all hosts, as well" in run.output
    )
