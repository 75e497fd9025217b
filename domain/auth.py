"""The schemes by which a consumer authorizes its requests, as models. gateway/http/authorizers.py implements them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import AfterValidator, Field, SecretStr, model_validator

from domain.header_names import HeaderName, header_name
from domain.model import Credentials, unless_masked
from domain.pem import LONGEST, private_key
from domain.url_template import UrlTemplate

_AUTHORIZATION = "Authorization"


def _credential(value: SecretStr) -> SecretStr:
    """Check a credential. RFC 6750 §2.1 allows fewer characters; this check keeps the value within its header."""
    secret = value.get_secret_value()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ValueError("must be printable ASCII without spaces")
    return value


SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def signing_key(pem: str) -> tuple[SigningKey, str]:
    """Return a private key, and the JWS algorithm that it signs with (RFC 7518 §3.1, RFC 8037 §3.1). Raises
    ValueError."""
    key = private_key(pem)
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key, _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "EdDSA"
    raise ValueError("must be an RSA key of 2048 bits or more, an EC key (P-256, P-384, P-521) or an Ed25519 key")


_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def _token_url(value: UrlTemplate) -> UrlTemplate:
    if value.user_info or "?" in value or not value.fixed:
        raise ValueError("must not contain a user name, query or placeholder; use clientId, clientSecret and params")
    return value


def _form_names(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    if wrong := sorted(_OAUTH2 & set(value)):
        raise ValueError(f"must not contain {', '.join(wrong)}: the service or another field of auth sets it")
    return value


_OAUTH2 = {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "audience"}
Secret = Annotated[SecretStr, AfterValidator(_credential)]
_VISIBLE = r"^[!-~]+$"
_PRINTABLE = r"^[ -~]*$"


class BasicAuth(Credentials):
    """User name and password (RFC 7617), sent with every request. The password is write-only."""

    sets_header: ClassVar[str] = _AUTHORIZATION
    type: Literal["basic"]
    username: str = Field(max_length=255, pattern=r"^[^:\x00-\x1f\x7f]*$", description="must not contain a colon")
    password: SecretStr = Field(max_length=1024)

    @property
    def header(self) -> str:
        """The value of the header, in UTF-8 (RFC 7617 §2)."""
        login = f"{self.username}:{self.password.get_secret_value()}"
        return "Basic " + b64encode(login.encode()).decode()

    def secrets(self) -> Iterator[str]:
        yield from super().secrets()
        yield self.header.removeprefix("Basic ")


class BearerAuth(Credentials):
    """A token (RFC 6750), sent with every request. Write-only."""

    sets_header: ClassVar[str] = _AUTHORIZATION
    type: Literal["bearer"]
    token: Secret = Field(max_length=8192)


class ApiKeyAuth(Credentials):
    """A key in a header or in the query of the URL. The value is write-only."""

    type: Literal["apiKey"]
    in_: Literal["header", "query"] = Field("header", alias="in")
    name: str = Field(
        min_length=1, max_length=255, description="name of the header or query parameter", examples=["X-Api-Key"]
    )
    value: Secret = Field(max_length=8192)

    @model_validator(mode="after")
    def _name_of_a_header(self) -> Self:
        if self.in_ == "header":
            header_name(self.name)
        return self

    @property
    def sets_header(self) -> str:
        return self.name if self.in_ == "header" else ""


class OAuth2Auth(Credentials):
    """Client credentials (RFC 6749 §4.4): a worker fetches a token from `tokenUrl` and sends it as a bearer token. The
    client authenticates with `clientSecret`, in the Authorization header or in the body (§2.3.1), or with a JWT signed
    with `privateKey` (RFC 7523 §2.2). Secrets and the values of `params` are write-only."""

    sets_header: ClassVar[str] = _AUTHORIZATION
    type: Literal["oauth2"]
    token_url: Annotated[UrlTemplate, AfterValidator(_token_url)]
    client_id: str = Field(max_length=1024, pattern=_VISIBLE)
    client_secret: SecretStr | None = Field(None, min_length=1, max_length=8192)
    client_secret_in: Literal["header", "body"] = "header"
    private_key: Annotated[SecretStr, unless_masked(signing_key)] | None = Field(
        None, max_length=LONGEST, description="RSA, EC or Ed25519, PEM, not encrypted"
    )
    key_id: str | None = Field(None, max_length=1024, pattern=_VISIBLE, description="`kid` of the JWT")
    scope: str = Field("", max_length=4096, pattern=_PRINTABLE)
    audience: str = Field("", max_length=4096, pattern=_PRINTABLE)
    params: Annotated[dict[str, SecretStr], AfterValidator(_form_names)] = Field(
        default_factory=dict,
        max_length=20,
        description="additional parameters of the token request, such as `resource`",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("must have either clientSecret or privateKey")
        if self.key_id is not None and self.private_key is None:
            raise ValueError("must not have keyId without privateKey")
        return self


class AwsSigV4Auth(Credentials):
    """AWS Signature Version 4 of each request. The secret access key is write-only."""

    sets_header: ClassVar[str] = _AUTHORIZATION
    type: Literal["awsSigV4"]
    region: str = Field(max_length=64, pattern=r"^[a-z0-9-]+$", examples=["eu-central-1"])
    service: str = Field(max_length=64, pattern=r"^[a-z0-9-]+$", examples=["execute-api", "lambda"])
    access_key_id: str = Field(max_length=128, pattern=r"^\w+$")
    secret_access_key: Secret = Field(max_length=1024)


class HmacAuth(Credentials):
    """An HMAC-SHA256 signature of the body, as in GitHub's webhooks, or of the time and the body, as in Stripe's. The
    secret is write-only."""

    type: Literal["hmac"]
    format: Literal["github", "stripe"]
    secret: SecretStr = Field(min_length=1, max_length=1024)
    header: HeaderName | None = Field(None, description="default: X-Hub-Signature-256, or Stripe-Signature")

    @property
    def sets_header(self) -> str:
        return self.header or {"github": "X-Hub-Signature-256", "stripe": "Stripe-Signature"}[self.format]


Auth = Annotated[
    BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth | AwsSigV4Auth | HmacAuth, Field(discriminator="type")
]
