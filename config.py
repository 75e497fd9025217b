"""Settings: the only reader of the environment and of .env. Refuses nonsense with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, InstanceOf, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from delivery.target_guard import Guard
from domain.url_template import UrlTemplate
from domain.user import check_password
from gateway.amqp.nodes import BrokerNodes
from gateway.management.nodes import ManagementNodes
from gateway.mongo.uri import check_uri

MIN_TOKEN = 16
"""Characters of a token that somebody else makes up."""


class SettingsError(SystemExit):
    """Ends the process with the sentence that says which variable to change."""


class Settings(BaseSettings):
    """Everything that an operator can set; each name upper-cased is the environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    bind: str = Field("127.0.0.1:5000", description="address and port of the API")
    rabbitmq_url: Annotated[InstanceOf[BrokerNodes], NoDecode] = Field(
        "amqp://guest:guest@127.0.0.1:5672/",
        validate_default=True,
        description="amqp:// or amqps://user:password@host:port/vhost; a cluster's hosts are separated by commas",
    )
    rabbitmq_management_url: Annotated[InstanceOf[ManagementNodes], NoDecode] = Field(
        "",
        validate_default=True,
        description="RabbitMQ's management API, hosts likewise; empty: RABBITMQ_URL's hosts and login on port 15672",
    )
    mongo_uri: SecretStr = Field(
        SecretStr("mongodb://127.0.0.1:27017/workerrmq"), description="mongodb:// or mongodb+srv://, with the database"
    )
    secret_key: SecretStr = Field(SecretStr(""), description="signs and encrypts; run.sh makes one in DATA_DIR")
    admin_username: str = Field("admin", min_length=1, description="the first user, made when there is none")
    admin_password: SecretStr = Field(SecretStr(""), description="its password; empty: made once, and printed once")
    default_target_url: str = Field(
        "",
        validation_alias=AliasChoices("default_target_url", "epintower_api_process_order"),
        description="where a consumer without url delivers (alias EPINTOWER_API_PROCESS_ORDER)",
    )
    target_allow: str = Field(
        "", description="networks and hosts that targets may have though private: 10.0.0.0/8, erp.internal, *.svc.local"
    )
    target_deny: str = Field("", description="networks and hosts that no target may have, whatever TARGET_ALLOW says")
    consumers: Literal["inline", "external"] = Field(
        "inline", description="inline: web workers consume too; external: only WorkerRMQ.py does"
    )
    data_dir: Path = Field(Path("var"), description="files of the embedded parts, and of this host")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="bearer token that reads GET /metrics and nothing else, MongoDB away or not"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    otel_exporter_otlp_endpoint: str = Field(
        "", description="where spans go by OTLP over HTTP, as http://127.0.0.1:4318; empty: none are made"
    )
    web_workers: int = Field(1, ge=1, le=256, description="gunicorn worker processes")
    trusted_proxies: int = Field(0, ge=0, le=10, description="reverse proxies in front whose X-Forwarded-* count")
    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="largest request body, in bytes")
    body_timeout: float = Field(
        5.0, gt=0, le=600, description="seconds for each 16 KiB of a request body to arrive; beyond that 408"
    )
    publish_timeout: float = Field(5.0, gt=0, le=60, description="seconds to wait for the broker's confirm")
    drain_timeout: float = Field(10.0, ge=0, le=600, description="seconds that deliveries in flight get at shutdown")
    token_ttl: int = Field(12 * 3600, ge=60, description="seconds that a login lasts")

    @field_validator("rabbitmq_url", mode="before")
    @classmethod
    def _broker(cls, value: str) -> BrokerNodes:
        return BrokerNodes.parse(value)

    @field_validator("rabbitmq_management_url", mode="before")
    @classmethod
    def _management(cls, value: str, info: ValidationInfo) -> ManagementNodes:
        broker = info.data.get("rabbitmq_url") or BrokerNodes.parse("amqp://")  # without one, its own error is told
        return ManagementNodes.parse(value, broker)

    @field_validator("mongo_uri")
    @classmethod
    def _mongo(cls, value: SecretStr) -> SecretStr:
        check_uri(value.get_secret_value())
        return value

    @field_validator("admin_password")
    @classmethod
    def _password(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            check_password(value.get_secret_value())
        return value

    @field_validator("metrics_token")
    @classmethod
    def _token(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"must be at least {MIN_TOKEN} characters long: openssl rand -hex 32 makes one")
        return value

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, as in 127.0.0.1:5000")
        return value

    @field_validator("default_target_url", "otel_exporter_otlp_endpoint")
    @classmethod
    def _target(cls, value: str) -> str:
        return UrlTemplate(value) if value else value

    @field_validator("target_allow", "target_deny")
    @classmethod
    def _targets(cls, value: str) -> str:
        Guard(value)
        return value

    @property
    def metrics_dir(self) -> Path:
        """Where the processes of this host count."""
        return self.data_dir / "metrics"

    @property
    def guard(self) -> Guard:
        """Which targets may be called."""
        return Guard(self.target_allow, self.target_deny)


def load(**overrides: Any) -> Settings:
    """Read .env and the environment. Raises SettingsError with one line a mistake."""
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        lines = [f"{str(err['loc'][0]).upper()} {err['msg'].removeprefix('Value error, ')}" for err in exc.errors()]
        raise SettingsError("\n".join(f"configuration: {line}" for line in lines)) from None
