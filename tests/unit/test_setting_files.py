"""NAME_FILE: a setting that holds a secret is read from a file; TLS files of RabbitMQ are checked at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import config
from config import SECRETS, Settings, SettingsError
from tests.support.certificates import Authority

VALUES = {
    "rabbitmq_url": "amqp://user:canary@rabbit.example/",
    "rabbitmq_management_url": "http://user:canary@rabbit.example:15672",
    "mongo_uri": "mongodb://user:canary@mongo.example/db",
    "secret_key": "canary-canary-canary-canary-canary",
    "admin_password": "canary-canary",
    "default_target_url": "https://user:canary@erp.example/",
    "epintower_api_process_order": "https://user:canary@erp.example/",
    "metrics_token": "canary-canary-canary",
    "egress_proxy": "http://user:canary@proxy.example:3128",
    "otel_exporter_otlp_endpoint": "https://user:canary@otel.example:4318",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*Settings.model_fields, *SECRETS):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def field_of(name: str) -> str:
    return "default_target_url" if name == "epintower_api_process_order" else name


def read(settings: Settings, name: str) -> Any:
    value = getattr(settings, field_of(name))
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_every_setting_that_hides_its_value_or_is_a_url_with_a_login_can_be_a_file() -> None:
    hidden = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert hidden < set(SECRETS)
    assert set(VALUES) == set(SECRETS)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_secret_is_read_from_the_file_that_is_named(
    name: str, end: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(VALUES[name] + end)
    if where == ".env":
        (tmp_path / ".env").write_text(f"{name.upper()}_FILE={tmp_path}/secret\n{name.upper()}=\n")
    else:
        monkeypatch.setenv(f"{name.upper()}_FILE", f"{tmp_path}/secret")
    settings = config.load()
    assert settings.model_fields_set == {field_of(name)}
    monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.setenv(name.upper(), VALUES[name])
    (tmp_path / ".env").unlink(missing_ok=True)
    directly = config.load()
    if name.startswith("rabbitmq"):
        (one,), (same,) = getattr(settings, name).nodes, getattr(directly, name).nodes
        assert one == same
    else:
        assert read(settings, name) == read(directly, name) == VALUES[name]


def test_a_value_beside_its_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(VALUES["secret_key"])
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("SECRET_KEY", VALUES["secret_key"])
    with pytest.raises(SettingsError, match="SECRET_KEY_FILE and SECRET_KEY are both set") as refused:
        config.load()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "that is empty"),
        (b"\n", "that is empty"),
        (b"canary\xff", "that is not UTF-8"),
        (b"canary\ncanary\n", "has more than one line"),
        (b"canary\0", "has more than one line"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_and_not_quoted(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "canary"
    if content is not None:
        path.write_bytes(content)
    for name in ("METRICS_TOKEN_FILE", "ADMIN_PASSWORD_FILE"):
        monkeypatch.setenv(name, str(path))
    with pytest.raises(SettingsError) as refused:
        config.load()
    said = str(refused.value)
    assert said.count(reason) == 2, "each of the wrong ones is told"
    assert "canary" not in said


def test_endless_files_and_directories_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/dev/zero", str(tmp_path)):
        monkeypatch.setenv("METRICS_TOKEN_FILE", path)
        with pytest.raises(SettingsError, match="METRICS_TOKEN_FILE names a file that"):
            config.load()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def refused(**settings: Any) -> str:
    with pytest.raises(SettingsError) as error:
        config.load(**{name: str(value) for name, value in settings.items()})
    return str(error.value)


def test_tls_files_that_cannot_be_used_are_refused_at_the_start(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.sign("client")
    _, other = authority.sign("other")
    _, encrypted = authority.sign("encrypted", password=b"canary")
    (tmp_path / "empty").touch()
    assert "RABBITMQ_CA_FILE names a file that cannot be read" in refused(rabbitmq_ca_file=tmp_path / "none")
    assert "RABBITMQ_CA_FILE holds no CA certificate" in refused(rabbitmq_ca_file=tmp_path / "empty")
    assert "RABBITMQ_CA_FILE holds no CA certificate" in refused(rabbitmq_ca_file=key)
    assert "RABBITMQ_CLIENT_CERT_FILE is required" in refused(rabbitmq_client_key_file=key)
    assert "RABBITMQ_CLIENT_CERT_FILE holds no certificate and its key" in refused(
        rabbitmq_client_cert_file=certificate
    )
    for wrong, reason in (
        (other, "is not the key of"),
        (encrypted, "holds an encrypted key"),
        (tmp_path / "no", "cannot be read"),
    ):
        assert reason in refused(rabbitmq_client_cert_file=certificate, rabbitmq_client_key_file=wrong)


def test_the_nodes_get_the_files(authority: Authority) -> None:
    certificate, key = authority.sign("client")
    settings = config.load(
        rabbitmq_url="amqps://rabbit.example/",
        rabbitmq_management_url="https://rabbit.example:15671",
        rabbitmq_ca_file=str(authority.certificate),
        rabbitmq_client_cert_file=str(certificate),
        rabbitmq_client_key_file=str(key),
    )
    (node,) = settings.rabbitmq_url.nodes
    [trusted] = node.ssl_options.context.get_ca_certs()
    assert "authority" in str(trusted["subject"])
    assert settings.rabbitmq_management_url.tls.trusted == str(authority.certificate)
    assert settings.rabbitmq_management_url.tls.shown == (str(certificate), str(key))
