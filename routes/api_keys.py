"""API keys: POST /createApiKey, GET /getApiKeys, DELETE /deleteApiKey."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.api_key import ApiKey, ApiKeyNamed, CreateApiKey
from domain.model import Model
from domain.user import Role
from middlewares.auth import caller
from routes.answers import Done
from routes.api import Api, Reply, done, services
from routes.paging import NamedQuery, paged
from routes.scope import NO_QUEUE

api = Api("api_keys")


class ApiKeysQuery(NamedQuery):
    """Which keys."""

    sort: Literal["name", "role", "createdBy", "createdAt", "expiresAt", "lastUsedAt"] = "name"


class ApiKeyDetails(Model):
    """A key as shown: never the key itself. Without `queues` it may touch all; `lastUsedAt` may be a minute behind."""

    name: str
    role: Role
    queues: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class ApiKeyDeleted(Done):
    """Which key is gone."""

    name: str


class NewApiKey(Done):
    """`key` is for `Authorization: Bearer …`, shown only here."""

    key: str
    api_key: ApiKeyDetails


@api.post(
    "/createApiKey",
    role="admin",
    idempotent=True,
    body=CreateApiKey,
    answer=NewApiKey,
    status=201,
    refuses=(409,),
    touches=NO_QUEUE,
)
def create_api_key(body: CreateApiKey) -> Reply:
    """Create a key for a program, by which it is authorised as by a token. It is shown only this once.

    A key with `queues` may only touch the queues whose names match one of these patterns, and nothing that is no queue.
    """
    key, made = services.api_keys.create(body, caller().username)
    content = NewApiKey(message="Keep the key: it is shown only now.", key=key, api_key=_details(made))
    return Reply(content, status=201)


@api.get("/getApiKeys", role="admin", query=ApiKeysQuery, answer=list[ApiKeyDetails], touches=NO_QUEUE)
def get_api_keys(query: ApiKeysQuery) -> Reply:
    """List the keys by name, those that have expired too."""
    return paged(services.api_keys.page(query.selection()), query, _details)


@api.delete("/deleteApiKey", role="admin", body=ApiKeyNamed, answer=ApiKeyDeleted, refuses=(404,), touches=NO_QUEUE)
def delete_api_key(body: ApiKeyNamed) -> Reply:
    """Delete a key, which ends it at once."""
    services.api_keys.delete(body.name)
    return done("API key has been deleted successfully.", name=body.name)


def _details(key: ApiKey) -> ApiKeyDetails:
    return ApiKeyDetails(**{name: getattr(key, name) for name in ApiKeyDetails.model_fields})
