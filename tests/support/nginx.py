"""nginx with docs/deploy/nginx.conf, in front of a service on this machine."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.processes import Process, free_port
from tests.support.server import Server

_EXAMPLE = Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf"
_AROUND = """
{user} worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  include {place}/workerrmq.conf;
}}
"""


class Nginx(Server):
    """nginx with the example configuration; only ports and paths are changed."""

    def __init__(self, place: Path, program: str, service_port: int, prefix: str = "") -> None:
        """Put all files in `place`. Only clients that have `certificate` trust it. With a `prefix` the service is below
        that path, changed as the example says."""
        place.mkdir()
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}{prefix}"
        self.certificate = place / "workerrmq.pem"
        certify(self.certificate)
        config = _EXAMPLE.read_text()
        for theirs, ours in (
            ("127.0.0.1:5000", f"127.0.0.1:{service_port}"),
            ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
            ("/etc/ssl/certs/", f"{place}/"),
            ("/etc/ssl/private/", f"{place}/"),
            ("location / {", f"location {prefix}/ {{"),
            ("proxy_pass http://workerrmq;", f"proxy_pass http://workerrmq{'/' if prefix else ''};"),
            ('X-Forwarded-Prefix "";', f'X-Forwarded-Prefix "{prefix}";'),
        ):
            assert theirs in config, f"the example has no {theirs!r} any more"
            config = config.replace(theirs, ours)
        user = "user root;" if os.geteuid() == 0 else ""  # otherwise it cannot access `place`
        (place / "workerrmq.conf").write_text(config)
        (place / "nginx.conf").write_text(_AROUND.format(place=place, user=user))
        self.command = [program, "-c", str(place / "nginx.conf"), "-p", str(place)]
        self.process = Process(self.command, place / "log")

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(self._answers, 60)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/live", verify=str(self.certificate), timeout=5).ok
        except requests.ConnectionError:
            return False


def certify(certificate: Path) -> None:
    """Create a self-signed certificate for 127.0.0.1, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    certificate.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
