"""Settings. Only this module reads the environment and .env. Each invalid value is reported in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    InstanceOf,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from delivery.target_guard import Guard
from domain.origins import parse_origins
from domain.url_template import UrlTemplate
from domain.user import check_password
from gateway.amqp.nodes import BrokerNodes
from gateway.http.egress import Egress, EgressProxy
from gateway.management.nodes import ManagementNodes
from gateway.mongo.secrets import KEY_FILE, check_keys, split_keys
from gateway.mongo.uri import check_uri
from gateway.tls import TlsFiles
from runtime.secret_files import SecretFileError, SecretFiles, read

MIN_TOKEN = 16
"""The least length of METRICS_TOKEN in characters."""

SECRETS = (
    "rabbitmq_url",
    "rabbitmq_management_url",
    "mongo_uri",
    "secret_key",
    "admin_password",
    "default_target_url",
    "epintower_api_process_order",
    "metrics_token",
    "egress_proxy",
    "otel_exporter_otlp_endpoint",
)
"""The settings that may contain credentials. Each can also be read from the file that NAME_FILE names."""


class SettingsError(SystemExit):
    """Ends the process with one line per invalid setting."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(f"configuration: {sentence}" for sentence in sentences))


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that passes a value to `check`, unless it is empty. `check` raises ValueError with the rest of
    a sentence that begins with the setting's name."""

    def checked(value: str | SecretStr) -> str | SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text:
            check(text)
        return value

    return AfterValidator(checked)


def _check_address(text: str) -> None:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("must be host:port, such as 127.0.0.1:5000")


def _check_certificates(path: str) -> None:
    TlsFiles(ca=path).context()


def _check_token(text: str) -> None:
    if len(text) < MIN_TOKEN:
        raise ValueError(f"must have at least {MIN_TOKEN} characters. Generate one with `openssl rand -hex 32`")


def _check_collector(text: str) -> None:
    url = UrlTemplate(text)
    if url.query.format or not url.fixed:
        raise ValueError("must have no query and no placeholders: give a key in OTEL_EXPORTER_OTLP_HEADERS")


class Settings(BaseSettings):
    """All settings. The environment variable of a setting is its name in upper case."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources by precedence: arguments, the environment, .env, and the files that NAME_FILE variables
        name."""
        assert isinstance(env_settings, EnvSettingsSource)
        assert isinstance(dotenv_settings, EnvSettingsSource)
        files = SecretFiles(settings_cls, SECRETS, {**dotenv_settings.env_vars, **env_settings.env_vars})
        return init_settings, env_settings, dotenv_settings, files

    bind: Annotated[str, _checked(_check_address)] = Field(
        "127.0.0.1:5000", min_length=1, description="address and port of the API"
    )
    rabbitmq_ca_file: Annotated[str, _checked(_check_certificates)] = Field(
        "", description="CA certificates to trust for amqps:// and https:// (PEM); empty: the system's CA certificates"
    )
    rabbitmq_client_key_file: Annotated[str, _checked(read)] = Field(
        "", description="key of RABBITMQ_CLIENT_CERT_FILE (PEM, unencrypted), if that file does not contain it"
    )
    rabbitmq_client_cert_file: str = Field(
        "", validate_default=True, description="client certificate for RabbitMQ (PEM), if RabbitMQ requires one"
    )
    rabbitmq_url: Annotated[InstanceOf[BrokerNodes], NoDecode] = Field(
        "amqp://guest:guest@127.0.0.1:5672/",
        validate_default=True,
        description="amqp:// or amqps://user:password@host:port/vhost; separate the hosts of a cluster with commas",
    )
    rabbitmq_management_url: Annotated[InstanceOf[ManagementNodes], NoDecode] = Field(
        "",
        validate_default=True,
        description="URL of RabbitMQ's management API, hosts separated by commas; empty: hosts and login of "
        "RABBITMQ_URL, port 15672 (for amqps://: https, port 15671)",
    )
    mongo_uri: Annotated[SecretStr, _checked(check_uri)] = Field(
        SecretStr("mongodb://127.0.0.1:27017/workerrmq"),
        min_length=1,
        description="mongodb:// or mongodb+srv:// URI with the database name",
    )
    secret_key: Annotated[SecretStr, _checked(check_keys)] = Field(
        SecretStr(""),
        description="key that encrypts stored secrets, at least 32 bytes; empty: generated and kept in DATA_DIR",
    )
    admin_username: str = Field(
        "admin", min_length=1, description="name of the first user, an admin, created if there is no user"
    )
    admin_password: Annotated[SecretStr, _checked(check_password)] = Field(
        SecretStr(""), description="password of the first user; empty: generated and printed once"
    )
    default_target_url: Annotated[str, AfterValidator(lambda url: url and UrlTemplate(url))] = Field(
        "",
        validation_alias=AliasChoices("default_target_url", "epintower_api_process_order"),
        description="target URL of consumers without url (alias EPINTOWER_API_PROCESS_ORDER)",
    )
    target_allow: Annotated[str, _checked(Guard)] = Field(
        "", description="private networks and hosts that targets may use: 10.0.0.0/8, erp.internal, *.svc.local"
    )
    target_deny: Annotated[str, _checked(Guard)] = Field(
        "", description="networks and hosts that targets may not use; overrides TARGET_ALLOW"
    )
    target_ca_file: Annotated[str, _checked(_check_certificates)] = Field(
        "", description="CA certificates to trust for https:// targets (PEM); empty: the system's CA certificates"
    )
    egress_proxy: Annotated[SecretStr, _checked(EgressProxy.parse)] = Field(
        SecretStr(""),
        description="proxy for all requests to targets: http://, https:// or socks5://user:password@host:port",
    )
    consumers: Literal["inline", "external"] = Field(
        "inline", description="inline: web workers also run the consumers; external: only WorkerRMQ.py runs them"
    )
    worker_bind: Annotated[str, _checked(_check_address)] = Field(
        "", description="address and port of a worker's /health/live, /health/ready and /metrics; empty: none"
    )
    data_dir: Path = Field(
        Path("var"), description="directory for the embedded broker and store and for the files of this host"
    )
    metrics_token: Annotated[SecretStr, _checked(_check_token)] = Field(
        SecretStr(""), description="bearer token for GET /metrics only; works while MongoDB is down"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level to log: debug, info, warning or error"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="json, console, or auto: console on a terminal, otherwise json"
    )
    otel_exporter_otlp_endpoint: Annotated[SecretStr, _checked(_check_collector)] = Field(
        SecretStr(""),
        description="OTLP/HTTP endpoint for traces, such as http://127.0.0.1:4318, with user:password@ if it needs a "
        "login; empty: no tracing",
    )
    workers: int = Field(1, ge=1, le=64, description="number of WorkerRMQ.py processes that ./run.sh starts")
    web_workers: int = Field(1, ge=1, le=256, description="number of gunicorn worker processes")
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="number of reverse proxies in front whose X-Forwarded-* headers are trusted"
    )
    cors_origins: Annotated[str, _checked(parse_origins)] = Field(
        "", description="origins of pages that may call the API: https://app.example.com; *: any"
    )
    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="maximum size of a request body in bytes")
    body_timeout: float = Field(
        5.0, gt=0, le=600, description="seconds within which each 16 KiB of a request body must arrive; otherwise 408"
    )
    publish_timeout: float = Field(
        5.0, gt=0, le=60, description="seconds to wait for the broker's confirm of a publish"
    )
    drain_timeout: float = Field(10.0, ge=0, le=600, description="seconds to wait at shutdown for deliveries in flight")
    token_ttl: int = Field(12 * 3600, ge=60, description="lifetime of a login token in seconds")

    @field_validator("rabbitmq_client_cert_file")
    @classmethod
    def _client_certificate(cls, value: str, info: ValidationInfo) -> str:
        key = info.data.get("rabbitmq_client_key_file", "")
        if key and not value:
            raise ValueError("is required, because RABBITMQ_CLIENT_KEY_FILE is set")
        if value:
            read(value)
            TlsFiles(certificate=value, key=key).context()
        return value

    @field_validator("rabbitmq_url", mode="before")
    @classmethod
    def _broker(cls, value: str, info: ValidationInfo) -> BrokerNodes:
        return BrokerNodes.parse(value, _tls_files(info.data))

    @field_validator("rabbitmq_management_url", mode="before")
    @classmethod
    def _management(cls, value: str, info: ValidationInfo) -> ManagementNodes:
        # An invalid RABBITMQ_URL is reported itself.
        broker = info.data.get("rabbitmq_url") or BrokerNodes.parse("amqp://")
        return ManagementNodes.parse(value, broker, _tls_files(info.data))

    @field_validator("data_dir")
    @classmethod
    def _key_of_this_host(cls, value: Path, info: ValidationInfo) -> Path:
        """Check the key file, because an operator may have added a key to it."""
        if split_keys(info.data.get("secret_key", SecretStr("")).get_secret_value()):
            return value
        try:
            check_keys((value / KEY_FILE).read_text())
        except OSError:  # it does not exist yet; an unreadable file is reported at its first use
            return value
        except ValueError as exc:
            raise ValueError(f"has a file {KEY_FILE} whose key {exc}") from None
        return value

    @property
    def metrics_dir(self) -> Path:
        """Return the directory for the metrics of this host's processes."""
        return self.data_dir / "metrics"

    @property
    def guard(self) -> Guard:
        """Return the guard for targets, from TARGET_ALLOW and TARGET_DENY."""
        return Guard(self.target_allow, self.target_deny)

    @property
    def egress(self) -> Egress:
        """Return the proxy and the CA certificates for requests to targets."""
        proxy = self.egress_proxy.get_secret_value()
        return Egress(EgressProxy.parse(proxy) if proxy else None, self.target_ca_file)


def _tls_files(settings: Mapping[str, str]) -> TlsFiles:
    """Return the TLS files for RabbitMQ. Pydantic leaves out an invalid setting and reports it itself."""
    names = ("rabbitmq_ca_file", "rabbitmq_client_cert_file", "rabbitmq_client_key_file")
    return TlsFiles(*(settings.get(name, "") for name in names))


def load(**overrides: Any) -> Settings:
    """Return the settings from the environment and .env. Raises SettingsError with one line per error."""
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        lines = [f"{str(err['loc'][0]).upper()} {err['msg'].removeprefix('Value error, ')}" for err in exc.errors()]
        raise SettingsError(*lines) from None
    except SecretFileError as exc:
        raise SettingsError(*exc.args) from None
