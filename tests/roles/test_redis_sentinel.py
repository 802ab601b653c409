"""redis_sentinel on an unbaked host with a Redis."""

from sentinels import FILE, LEARNT, SECRETS, admin, cli, root, say

ROLE = "redis_sentinel"


def test_it_runs_and_starts_at_boot(scenario):
    service = scenario.host.service("redis-sentinel")
    assert service.is_running
    assert service.is_enabled
    assert scenario.host.process.get(comm="redis-sentinel").user == "redis"


def inside(scenario, unit, command):
    """What a command of the account redis says of files as the service of a unit sees them."""
    pid = scenario.host.check_output(f"systemctl show --value --property MainPID {unit}")
    return say(scenario.host, f"cd /; runuser --user redis -- {command.format(f'/proc/{pid}/root')}")


def test_it_can_reach_nothing_of_redis(scenario):
    for path in ("/etc/redis", "/var/lib/redis"):
        assert "Permission denied" in inside(scenario, "redis-sentinel", f"ls {{}}{path}")
        assert "redis.conf" in inside(scenario, "redis-server", f"ls {{}}{path}")
    assert FILE in inside(scenario, "redis-sentinel", f"ls {{}}{FILE}")


def test_redis_cannot_write_in_the_folder_of_its_configuration(scenario):
    assert "Read-only file system" in inside(scenario, "redis-server", "touch {}/etc/redis/new")
    assert inside(scenario, "redis-server", "touch {}/var/lib/redis/new") == ""


def test_a_client_may_ask_and_nothing_else(scenario):
    ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]
    assert say(scenario.host, cli(26379, *ask, user="celery", password="a $ecret # word")).split() == ["node-1", "6379"]
    assert "NOAUTH" in say(scenario.host, cli(26379, *ask))
    assert "WRONGPASS" in say(scenario.host, cli(26379, "PING", user="celery", password="wrong"))
    assert "WRONGPASS" in say(scenario.host, cli(26379, "PING", user="default", password=""))
    for words in (["SENTINEL", "FAILOVER", "main"], ["SENTINEL", "RESET", "main"], ["ACL", "LIST"], ["SHUTDOWN"]):
        assert "NOPERM" in say(scenario.host, cli(26379, *words, user="celery", password="a $ecret # word"))


def test_passwords_are_hashes_where_a_hash_will_do_and_nobody_elses_to_read(scenario):
    find = "grep --recursive --files-with-matches --fixed-strings {} /etc /var/lib/redis /var/lib/redis-sentinel /var/log | sort"
    assert say(scenario.host, find.format("'a $ecret # word'")) == ""
    assert say(scenario.host, find.format("admin-password")) == ""
    for secret in SECRETS[:3]:
        for path in say(scenario.host, find.format(secret)).splitlines():
            file = scenario.host.file(path)
            assert file.mode in (0o600, 0o640), path
            assert file.group in ("root", "redis"), path
    journal = scenario.host.check_output("journalctl --no-pager --output cat")
    assert "redis-sentinel" in journal
    arguments = scenario.host.check_output("cat /proc/*/cmdline | tr '\\0' ' '")
    assert "redis-sentinel" in arguments
    assert not [secret for secret in SECRETS if secret in journal + arguments]


def test_its_rights_suffice(scenario):
    scenario.poll(root("CLIENT", "LIST"), "name=sentinel-")
    assert "flags\nmaster\n" in scenario.host.check_output(admin("SENTINEL", "MASTER", "main"))
    assert say(scenario.host, root("ACL", "LOG")) == ""
    say(scenario.host, cli(6379, "FLUSHALL", user="sentinel", password="sentinel-password"))
    assert "flushall" in say(scenario.host, root("ACL", "LOG"))  # it would be there


def test_a_changed_setting_arrives_and_what_sentinel_learnt_stays(scenario):
    before = scenario.host.check_output(LEARNT)
    monitor = {"name": "main", "host": "elsewhere", "quorum": 1, "auth_user": "sentinel", "auth_password": "sentinel-password"}
    changed = {"redis_sentinel_monitors": [{**monitor, "down_after_ms": 3000}]}
    run = scenario.converge(**changed)
    assert [name for name in run.changed if name.startswith("redis_sentinel")] == [
        "redis_sentinel : Write the settings",
        "redis_sentinel : Bring the settings into the file that Sentinel rewrites",
        "redis_sentinel : Start Sentinel and enable it at boot",
    ]
    assert "down-after-milliseconds\n3000\n" in scenario.poll(admin("SENTINEL", "MASTER", "main"), "flags\nmaster\n")
    assert scenario.host.check_output(LEARNT) == before
    assert scenario.converge(**changed).changed == []


def test_what_sentinel_refuses_is_said_and_undone(scenario, files):
    own = files / "sentinel.conf"
    own.write_text("sentinel quorom main 2\n")
    before = scenario.host.check_output(LEARNT)
    run = scenario.converge(redis_sentinel_config_file=str(own), fails=True)
    assert "Sentinel does not start with these settings, and those of before are in force" in run.output
    assert "| >>> 'sentinel quorom main 2' | Unrecognized sentinel configuration statement." in run.output
    assert scenario.host.check_output(admin("PING")) == "PONG"
    assert scenario.host.check_output(LEARNT) == before
    scenario.converge()
    assert "down-after-milliseconds\n10000\n" in scenario.host.check_output(admin("SENTINEL", "MASTER", "main"))


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        redis_sentinel_user={"name": "peer", "password": "two words"},
        redis_sentinel_announce_host="node-9",
        redis_sentinel_users=[{"name": "peer", "password": ""}],
        redis_sentinel_monitors=[
            {"name": "a b", "host": "node 1", "quorum": 2, "down_after_ms": 0},
            {"name": "main", "host": "node-1", "auth_user": "sentinel"},
        ],
        redis_sentinel_config_file="sentinel.conf",
    )
    for said in (
        "redis_sentinel_user, redis_sentinel_users: write every name once",
        "redis_sentinel_users: write a password for every user",
        "redis_sentinel_user, redis_sentinel_monitors: write passwords without spaces and quotes",
        "redis_sentinel_hosts: node-9:26379, which is this one, is not among them",
        "redis_sentinel_monitors: write names of letters, digits, and _ . -",
        "redis_sentinel_monitors: write a host as a name or an address without a port",
        "redis_sentinel_monitors: write auth_password beside auth_user",
        "redis_sentinel_monitors: write a quorum from 1 to 1, the number of redis_sentinel_hosts, not 2, 2",
        "redis_sentinel_monitors: write 1 or more for down_after_ms",
        "redis_sentinel_config_file: write an absolute path",
    ):
        assert said in run.output
    assert "two words" not in run.output


def test_an_open_door_is_refused(scenario):
    run = scenario.converge("--check", fails=True, redis_sentinel_user={}, redis_sentinel_hosts=[])
    assert "redis_sentinel_bind: * -::* lets other hosts in; write redis_sentinel_user with a name and a password" in run.output
    assert "redis_sentinel_hosts: write all sentinels as host:port, this one included" in run.output
