"""How the suite's client speaks: signatures that are believed, and those that are not."""

from pathlib import Path

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import dumps, loads

from celerylab.verify.access import PLAIN, Access, register_signer, unknown_signer
from celerylab.verify.stack import TLS_SCHEMES

pytestmark = pytest.mark.unit


def test_a_plain_client_changes_no_setting() -> None:
    assert PLAIN.settings("redis") == {}


@pytest.mark.parametrize(("broker", "keys"), [("redis", {"broker_use_ssl", "redis_backend_use_ssl"}), ("rabbitmq", {"broker_use_ssl"})])
def test_the_authority_is_what_both_connections_are_checked_with(broker: str, keys: set[str]) -> None:
    found = Access(authority=Path("/ca.crt")).settings(broker)
    assert set(found) == keys
    assert all("/ca.crt" in connection.values() for connection in found.values())


def test_a_known_signature_is_believed_an_unknown_one_and_another_digest_are_not(tmp_path: Path) -> None:
    believed, elsewhere = tmp_path / "believed", tmp_path / "elsewhere"
    believed.mkdir()
    elsewhere.mkdir()
    known = unknown_signer(tmp_path, f"{believed}/*")
    (believed / "known.crt").write_text(known.certificate.read_text())
    settings = Access(signer=known).settings("redis")
    assert settings["task_serializer"] == "auth"
    register_signer("auth-unknown", unknown_signer(elsewhere, f"{believed}/*"), decodes=False)
    register_signer("auth-weak", known, digest="sha1", decodes=False)

    def read(serializer: str) -> object:
        kind, encoding, body = dumps({"a": 1}, serializer=serializer)
        return loads(body, kind, encoding, accept=settings["accept_content"])

    assert read("auth") == {"a": 1}
    for forged, words in (("auth-unknown", "Unknown certificate"), ("auth-weak", "Unable to deserialize")):
        with pytest.raises(Exception, match=words):
            read(forged)
    with pytest.raises(ContentDisallowed):
        read("yaml")


@pytest.mark.parametrize(
    ("plain", "secure"),
    [("redis://a:b@c:1/0", "rediss://a:b@c:1/0"), ("amqp://a:b@c:1//", "amqps://a:b@c:1//"), ("rpc://", "rpc://")],
)
def test_only_what_connects_gets_tls(plain: str, secure: str) -> None:
    assert TLS_SCHEMES.sub(r"\1s://", plain) == secure
