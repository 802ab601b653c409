"""tls on an unbaked host."""

ROLE = "tls"


def read(scenario, question):
    return scenario.host.check_output(question).strip()


def serial(scenario, name):
    return read(scenario, f"openssl x509 -noout -serial -in /etc/tls/{name}.crt")


def issued(run):
    return "tls : Put both in place" in run.changed


def test_keys_belong_to_their_owners_and_nobody_else_can_read_them(scenario):
    files = {name: scenario.host.file(f"/etc/tls/{name}.key") for name in ("broker", "signer")}
    assert {name: (file.user, file.group, file.mode) for name, file in files.items()} == {
        "broker": ("root", "mail", 0o640),
        "signer": ("daemon", "root", 0o600),
    }
    authority = scenario.host.file("/etc/tls/authority")
    assert (authority.user, authority.mode) == ("root", 0o700)
    assert scenario.host.file("/etc/tls/authority/ca.key").mode == 0o600


def test_everybody_can_read_what_is_public(scenario):
    for name in ("ca.crt", "broker.crt", "trusted/signer.crt"):
        assert scenario.host.file(f"/etc/tls/{name}").mode == 0o644
    assert not scenario.host.file("/etc/tls/trusted/broker.crt").exists


def test_certificates_are_good_for_their_names(scenario):
    for name in ("broker", "signer"):
        assert read(scenario, f"openssl verify -x509_strict -CAfile /etc/tls/ca.crt /etc/tls/{name}.crt") == f"/etc/tls/{name}.crt: OK"
    for option in ("-verify_hostname node-1", "-verify_hostname localhost", "-verify_ip 127.0.0.1"):
        assert "OK" in read(scenario, f"openssl verify {option} -CAfile /etc/tls/ca.crt /etc/tls/broker.crt")
    assert scenario.host.run("openssl verify -verify_hostname elsewhere -CAfile /etc/tls/ca.crt /etc/tls/broker.crt").failed
    assert "TLS Web Server" not in read(scenario, "openssl x509 -noout -text -in /etc/tls/signer.crt")
    assert read(scenario, "openssl x509 -noout -subject -in /etc/tls/signer.crt") == "subject=CN = the signer"


def test_a_certificate_is_renewed_before_it_expires_and_its_unit_gets_it(scenario):
    before = {name: serial(scenario, name) for name in ("broker", "signer")}
    run = scenario.converge(tls_renew_days=500, tls_days=600)
    assert issued(run)
    assert "tls : Restart what serves a renewed certificate" in run.changed
    assert all(serial(scenario, name) != old for name, old in before.items())
    assert not scenario.converge(tls_renew_days=500, tls_days=600).changed


def test_other_names_and_a_broken_pair_are_mended(scenario):
    before = serial(scenario, "signer")
    certificates = [
        {"name": "broker", "dns": ["broker.example"], "group": "mail"},
        {"name": "signer", "common_name": "the signer", "usages": ["clientAuth"], "owner": "daemon", "mode": "0600", "trusted": True},
    ]
    assert issued(scenario.converge(tls_certificates=certificates))
    assert "DNS:broker.example" in read(scenario, "openssl x509 -noout -ext subjectAltName -in /etc/tls/broker.crt")
    assert serial(scenario, "signer") == before
    scenario.host.check_output("openssl genrsa -out /etc/tls/broker.key 2048 2>/dev/null")
    assert issued(scenario.converge(tls_certificates=certificates))
    assert not scenario.converge(tls_certificates=certificates).changed


def test_a_mode_that_somebody_changed_is_put_back(scenario):
    scenario.host.check_output("chmod 0644 /etc/tls/broker.key")
    assert scenario.converge().changed
    assert scenario.host.file("/etc/tls/broker.key").mode == 0o640


def test_trust_is_withdrawn(scenario):
    scenario.converge(tls_certificates=[{"name": "signer", "common_name": "the signer", "usages": ["clientAuth"], "owner": "daemon"}])
    assert not scenario.host.file("/etc/tls/trusted/signer.crt").exists


def test_an_authority_of_your_own_on_the_controller_is_used(scenario, tmp_path):
    authority = str(tmp_path / "authority")
    scenario.converge(tls_authority_on_controller=True, tls_authority_directory=authority)
    assert (tmp_path / "authority" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert read(scenario, "cat /etc/tls/ca.crt") == (tmp_path / "authority" / "ca.crt").read_text().strip()
    assert "OK" in read(scenario, "openssl verify -CAfile /etc/tls/ca.crt /etc/tls/broker.crt")
    assert not scenario.converge(tls_authority_on_controller=True, tls_authority_directory=authority).changed


def test_a_key_for_everybody_is_refused(scenario):
    run = scenario.converge("--check", tls_certificates=[{"name": "open", "mode": "0644"}], fails=True)
    assert "write a mode that only the owner writes and nobody else reads" in run.output
