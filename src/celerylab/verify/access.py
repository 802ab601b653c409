"""How the suite's Celery client speaks to a stack: in clear or over TLS, and with or without a signature on what it sends."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any

from celerylab.verify.expect import NotObservedError
from celerylab.verify.hosts import ObservedHost

_SIGNED = "application/data"  # the content type of Celery's serializer `auth`


@dataclass(frozen=True)
class Signer:
    """A key and its certificate as PEM files, and a pattern of files with the certificates whose signatures are believed."""

    key: Path
    certificate: Path
    believed: str


@dataclass(frozen=True)
class Access:
    """`authority` is the CA certificate to check the broker with, None for the plain port; `signer` signs, None for plain JSON."""

    authority: Path | None = None
    signer: Signer | None = None

    def settings(self, broker: str) -> dict[str, Any]:
        """Celery's settings for a client that speaks so to `broker`. Registers the serializer `auth` where there is a signer."""
        found: dict[str, Any] = {}
        if self.authority is not None:
            prefix = "ssl_" if broker == "redis" else ""
            tls = {f"{prefix}ca_certs": str(self.authority), f"{prefix}cert_reqs": CERT_REQUIRED}
            found = {"broker_use_ssl": tls} | ({"redis_backend_use_ssl": tls} if broker == "redis" else {})
        if self.signer is not None:
            register_signer("auth", self.signer)
            # Answers may be signed, and results plain.
            found |= {"task_serializer": "auth", "accept_content": ["auth", "json"], "result_accept_content": ["auth", "json"]}
        return found


PLAIN = Access()


def register_signer(name: str, signer: Signer, digest: str = "sha256", decodes: bool = True) -> None:
    """Makes `name` a serializer (for `send(..., serializer=name)`) that signs as `signer`.

    Without `decodes` it only sends: messages that arrive are still checked by the one that was registered before.
    Unlike `app.setup_security()` it leaves this process's other serializers as they are.
    """
    from celery.security.certificate import Certificate, FSCertStore
    from celery.security.key import PrivateKey
    from celery.security.serialization import SecureSerializer
    from kombu.serialization import register

    serializer = SecureSerializer(
        PrivateKey(signer.key.read_text(encoding="ascii")),
        Certificate(signer.certificate.read_text(encoding="ascii")),
        FSCertStore(signer.believed),
        digest,
    )
    decode = serializer.deserialize if decodes else None
    register(name, serializer.serialize, decode, content_type=_SIGNED, content_encoding="utf-8")  # type: ignore[no-untyped-call]


def fetch_access(host: ObservedHost, folder: Path, directory: str = "/etc/tls") -> Access:
    """The observer's own access, as role tls left it in `directory` of `host`: read as the observer, and kept in the private `folder`.

    Raises NotObservedError where the platform's files are not there.
    """
    believed = folder / "trusted"
    believed.mkdir(mode=0o700)
    files = {"ca.crt": folder, "observer.crt": folder, "observer.key": folder}
    listed = host.run("ls %s", f"{directory}/trusted")
    files |= {f"trusted/{name}": believed for name in listed.stdout.split()}
    for name, target in files.items():
        answer = host.run("cat %s", f"{directory}/{name}")
        if answer.rc != 0:
            raise NotObservedError(f"{host.name}: {answer.stderr.strip()}")
        path = target / Path(name).name
        path.touch(mode=0o600)
        path.write_text(answer.stdout, encoding="ascii")
    return Access(folder / "ca.crt", Signer(folder / "observer.key", folder / "observer.crt", f"{believed}/*"))


def unknown_signer(folder: Path, believed: str) -> Signer:
    """A signer that nobody knows: a fresh key, and a certificate that it signed itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody knows me")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    signer = Signer(folder / "unknown.key", folder / "unknown.crt", believed)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signer.key.touch(mode=0o600)
    signer.key.write_bytes(key.private_bytes(*form))
    signer.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return signer
