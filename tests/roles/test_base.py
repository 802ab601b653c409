"""base on an unbaked host."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROLE = "base"


def prepare_files(files: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "celerylab test authority")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (files / "authority.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def test_names_of_other_hosts_resolve(scenario):
    assert scenario.host.check_output("getent hosts worker-1").split() == ["10.77.0.3", "worker-1"]


def test_names_that_are_taken_out_vanish(scenario):
    scenario.converge(base_hosts={"broker-1": "10.77.0.9"})
    assert scenario.host.check_output("getent hosts broker-1").split() == ["10.77.0.9", "broker-1"]
    assert not scenario.host.run("getent hosts worker-1").succeeded
    assert "base : Write other hosts' names into /etc/hosts" in scenario.converge(base_hosts={}).changed
    assert "Ansible" not in scenario.host.file("/etc/hosts").content_string


def test_the_journal_is_kept_within_its_limit(scenario):
    assert scenario.host.check_output("systemd-analyze cat-config systemd/journald.conf").count("SystemMaxUse=64M") == 1
    scenario.host.check_output("logger --tag celerylab kept && journalctl --sync")
    assert scenario.host.check_output("ls /var/log/journal/*/system.journal")
    assert "kept" in scenario.host.check_output("journalctl --identifier celerylab --output cat --directory /var/log/journal")


def test_the_clock_is_utc(scenario):
    assert scenario.host.check_output("date +%Z") == "UTC"
    assert scenario.host.file("/etc/timezone").content_string == "Etc/UTC\n"


def test_the_observer_reads_the_journal_and_can_do_no_more(scenario):
    assert scenario.host.user("observer").shell == "/bin/sh"
    assert scenario.host.check_output("passwd --status observer").split()[1] == "L"
    observer = "setpriv --reuid observer --regid observer --init-groups"
    scenario.host.check_output("logger --tag celerylab seen && journalctl --sync")
    assert "seen" in scenario.host.check_output(f"{observer} journalctl --identifier celerylab --output cat")
    assert not scenario.host.run(f"{observer} sudo --non-interactive true").succeeded
    assert not scenario.host.run(f"{observer} cat /etc/shadow").succeeded


def test_your_own_certificate_authority_is_trusted(scenario):
    verified = scenario.host.run("openssl verify /usr/local/share/ca-certificates/authority.crt")
    assert verified.succeeded, verified.stderr


def test_a_wrong_name_of_an_observer_is_refused(scenario):
    run = scenario.converge("--check", base_observer_user="Not A User", fails=True)
    assert "base_observer_user: write a user name of lower-case letters, digits, - and _, not Not A User" in run.output
