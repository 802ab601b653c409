"""Makes logins and databases of a running PostgreSQL what standard input says, as JSON. Writes a line for each change; nothing if there is none.

`--check` says what it would change. Passwords leave this process as SCRAM-SHA-256 verifiers (RFC 5802) only, so that no log of the server
ever holds one in clear.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys

ITERATIONS = 4096  # PostgreSQL's own number; a client pays for each one at every connection
WANTED = json.load(sys.stdin)
APPLY = sys.argv[1] == "--apply"


def psql(database: str, script: str) -> list[list[str]]:
    """Rows that `script` selects in `database`, run by the superuser over the local socket."""
    options = [
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--field-separator=\t",
        "--set=ON_ERROR_STOP=1",
        f"--port={WANTED['port']}",
    ]
    command = ["runuser", "--user=postgres", "--", "psql", *options, f"--dbname={database}"]
    result = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    return [line.split("\t") for line in result.stdout.splitlines()]


def verifier(password: str, salt: bytes, iterations: int) -> str:
    """What PostgreSQL stores of `password`."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${iterations}:{salt64}${stored64}:{server64}"


def matches(password: str, known: str) -> bool:
    """Whether `known` is a verifier of `password`."""
    if not known.startswith("SCRAM-SHA-256$"):
        return False
    iterations, salt = known.split("$")[1].split(":")
    return hmac.compare_digest(verifier(password, base64.b64decode(salt), int(iterations)), known)


def change(what: str, database: str, script: str) -> None:
    """Says what is different, and makes it so unless this is a dry run."""
    sys.stdout.write(f"{what}\n")
    if APPLY:
        psql(database, script)


def reconcile_users() -> None:
    """Users that are wanted can log in with their password, no other one can. Superusers are the host's affair."""
    rows = psql("postgres", "SELECT rolname, rolcanlogin, coalesce(rolpassword, '') FROM pg_authid WHERE NOT rolsuper")
    known = {name: (login == "t", password) for name, login, password in rows}
    wanted = {user["name"]: user["password"] for user in WANTED["users"]}
    for name, password in wanted.items():
        login, stored = known.get(name, (False, ""))
        if not (login and matches(password, stored)):
            verb = "ALTER" if name in known else "CREATE"
            secret = verifier(password, os.urandom(16), ITERATIONS)
            change(f"user {name}", "postgres", f"{verb} ROLE {name} LOGIN PASSWORD '{secret}';")
    for name, (login, _) in known.items():
        if login and name not in wanted:
            change(f"user {name} may no longer log in", "postgres", f'ALTER ROLE "{name}" NOLOGIN;')


def reconcile_rights() -> None:
    """The user of standbys may replicate, that of the monitor may read statistics. Neither may anything else."""
    known = """SELECT rolname, rolreplication, EXISTS (SELECT FROM pg_auth_members JOIN pg_roles granted ON granted.oid = roleid
               WHERE member = pg_authid.oid AND granted.rolname = 'pg_monitor') FROM pg_authid"""
    rights = {name: (replicates == "t", monitors == "t") for name, replicates, monitors in psql("postgres", known)}
    name = WANTED["replication_user"]
    if name and not rights.get(name, (False,))[0]:
        change(f"user {name} may replicate", "postgres", f"ALTER ROLE {name} REPLICATION;")
    name = WANTED["monitoring_user"]
    if name and not rights.get(name, (False, False))[1]:
        change(f"user {name} may read statistics", "postgres", f"GRANT pg_monitor TO {name};")


def reconcile_slots() -> None:
    """Slots that are wanted exist. They keep nothing until a standby has used them once."""
    known = [name for (name,) in psql("postgres", "SELECT slot_name FROM pg_replication_slots")]
    for name in WANTED["slots"]:
        if name not in known:
            change(f"slot {name}", "postgres", f"SELECT pg_create_physical_replication_slot('{name}');")


def reconcile_databases() -> None:
    """Databases that are wanted exist, belong to their owner, and let nobody else connect."""
    listed = """SELECT datname, rolname, EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)
                FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba"""
    known = {name: (owner, public == "t") for name, owner, public in psql("postgres", listed)}
    for database in WANTED["databases"]:
        name, owner = database["name"], database["owner"]
        if name not in known:
            change(f"database {name}", "postgres", f"CREATE DATABASE {name} OWNER {owner};\nREVOKE ALL ON DATABASE {name} FROM PUBLIC;")
        elif known[name] != (owner, False):
            script = f"ALTER DATABASE {name} OWNER TO {owner};\nREVOKE ALL ON DATABASE {name} FROM PUBLIC;"
            change(f"owner and access of database {name}", "postgres", script)


reconcile_users()
reconcile_rights()
reconcile_slots()
reconcile_databases()
