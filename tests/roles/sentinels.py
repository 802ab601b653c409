"""Three hosts that run Redis and Sentinel: what they are told, and how they are asked."""

import shlex

NAMES = ["data-1", "data-2", "data-3"]
CELERY = "celery-password"  # of Sentinel
SECRETS = ["replica-password", "sentinel-password", "peer-password", "broker-password"]
RULES = "&__sentinel__:hello +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill"
FILE = "/var/lib/redis-sentinel/sentinel.conf"
LEARNT = f"grep --extended-regexp '^sentinel (myid|monitor|config-epoch|known-)' {FILE}"
ALL = {  # what three hosts are told that run both; README.md of the role has the same
    "redis_bind": "* -::*",
    "redis_announce_host": "{{ inventory_hostname }}",
    "redis_replication_user": {"name": "replica", "password": "replica-password"},
    "redis_replica_of": "{{ {} if inventory_hostname == 'data-1' else {'host': 'data-1'} }}",
    "redis_min_replicas_to_write": 1,
    "redis_min_replicas_max_lag": 2,
    "redis_sentinels": {
        "name": "main",
        "hosts": "{{ redis_sentinel_hosts }}",
        "user": "peer",
        "password": "peer-password",
    },
    "redis_users": [
        {"name": "celery", "password": "broker-password"},
        {"name": "sentinel", "password": "sentinel-password", "rules": RULES},
    ],
    "redis_sentinel_bind": "* -::*",
    "redis_sentinel_announce_host": "{{ inventory_hostname }}",
    "redis_sentinel_hosts": [f"{name}:26379" for name in NAMES],
    "redis_sentinel_user": {"name": "peer", "password": "peer-password"},
    "redis_sentinel_users": [
        {"name": "celery", "password": CELERY},
        {"name": "admin", "password": "admin-password", "rules": "&* +@all"},
    ],
    "redis_sentinel_monitors": [
        {
            "name": "main",
            "host": "data-1",
            "quorum": 2,
            "auth_user": "sentinel",
            "auth_password": "sentinel-password",
            "down_after_ms": 1500,
            "failover_timeout_ms": 10_000,
        }
    ],
    "haproxy_check_interval": "200ms",
    "haproxy_listeners": [
        {
            "name": "redis",
            "port": 7379,
            "check": "redis-primary",
            "check_user": "celery",
            "check_password": "broker-password",
            "servers": [{"name": name, "address": f"{name}:6379"} for name in NAMES],
        }
    ],
}
PLAYS = [{"hosts": "all", "roles": ["redis", "redis_sentinel"], "vars": ALL}]
FRONT = [{"hosts": "all", "roles": ["haproxy"], "vars": ALL}]
# Finds the primary as Celery's transport does, and writes.
CLIENT = """
import sys
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel
sentinels = [(host, 26379) for host in sys.argv[1].split(",")]
patience = {"retry": Retry(NoBackoff(), 0), "socket_connect_timeout": 1, "socket_timeout": 3}
sentinel = Sentinel(sentinels, sentinel_kwargs={"username": "celery", "password": sys.argv[2], **patience},
                    username="celery", password="broker-password", **patience)
print(sentinel.discover_master("main")[0], sentinel.master_for("main").rpush("tasks", sys.argv[3]))
"""


def cli(port, *words, user="", password="", host="127.0.0.1"):
    """A command that asks a Redis or a Sentinel."""
    who = f"--user {user} --pass {shlex.quote(password)} --no-auth-warning" if user else ""
    return f"redis-cli -h {host} -p {port} {who} {shlex.join(words)}"


def say(host, command):
    result = host.run(command)
    return (result.stdout + result.stderr).strip()


def root(*words):
    """A command of the host's root, who may everything of Redis."""
    key = "REDISCLI_AUTH=$(cat /etc/redis/users.key)"
    return f"{key} redis-cli -s /run/redis/redis-server.sock --user ansible --no-auth-warning {shlex.join(words)}"


def admin(*words):
    return cli(26379, *words, user="admin", password="admin-password")
