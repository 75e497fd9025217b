"""API keys: POST /createApiKey, GET /getApiKeys, DELETE /deleteApiKey."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.api_key import ApiKeyNamed, CreateApiKey
from domain.model import Model
from domain.user import Role
from middlewares.auth import caller, services
from routes.answers import Done
from routes.api import Api, Reply, done
from routes.paging import NamedQuery, paged

api = Api("api_keys")


class ApiKeysQuery(NamedQuery):
    """Parameters of the list of API keys."""

    sort: Literal["name", "role", "createdBy", "createdAt", "expiresAt", "lastUsedAt"] = "name"


class ApiKeyDetails(Model):
    """An API key, without its secret. An empty `queues` allows all queues. `lastUsedAt` may be one minute old."""

    name: str
    role: Role
    queues: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class ApiKeyDeleted(Done):
    """The API key that was deleted."""

    name: str


class NewApiKey(Done):
    """A new API key. Send `key` as `Authorization: Bearer …`; it is never shown again."""

    key: str
    api_key: ApiKeyDetails


@api.post("/createApiKey", role="admin", idempotent=True, statuses=(201,), refuses=("409 conflict",))
def create_api_key(body: CreateApiKey) -> Reply[NewApiKey]:
    """Create an API key for a program. The key is shown only in this answer.

    A program sends the key in place of a login token. A key with `queues` can only access queues whose names match one
    of these patterns, and nothing else."""
    key, made = services.api_keys.create(body, caller().username)
    content = NewApiKey(message="Store the key: it is never shown again.", key=key, api_key=ApiKeyDetails.showing(made))
    return Reply(content, status=201)


@api.get("/getApiKeys", role="admin")
def get_api_keys(query: ApiKeysQuery) -> Reply[list[ApiKeyDetails]]:
    """List the API keys, including expired ones."""
    return paged(services.api_keys.page(query.selection()), query, ApiKeyDetails.showing)


@api.delete("/deleteApiKey", role="admin", refuses=("404 not_found",))
def delete_api_key(body: ApiKeyNamed) -> Reply[ApiKeyDeleted]:
    """Delete an API key. It is rejected at once."""
    services.api_keys.delete(body.name)
    return done("API key has been deleted successfully.", name=body.name)
