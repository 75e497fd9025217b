"""The commands' names, and the columns of their lists."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = {
    "audit": "The log of changes.",
    "bindings": "Routes from exchanges to queues.",
    "connections": "Clients of the broker.",
    "consumers": "Deliver a queue's messages to a URL.",
    "dead-letters": "Messages that could not be delivered: list, replay, move and delete them.",
    "deliveries": "The log of delivery attempts.",
    "exchanges": "Exchanges of the broker.",
    "keys": "API keys for programs.",
    "messages": "Ready messages of a queue, and scheduled ones.",
    "policies": "Settings for all queues and exchanges whose names match.",
    "problems": "Current problems, which `overview` lists.",
    "queues": "Queues of the broker.",
    "users": "Users of the API.",
}


@dataclass(frozen=True, slots=True)
class Name:
    """`command` with its group; `columns` of a list; `argument`, an optional field that is an argument instead of an
    option.
    """

    command: str
    columns: str = ""
    argument: str = ""


NAMES = {
    "createQueue": Name("queues create"),
    "getQueues": Name("queues list", "queueName type messages ready unacked consumers publishRate deliverRate"),
    "getQueue": Name("queues get"),
    "purgeQueue": Name("queues purge"),
    "deleteQueue": Name("queues delete"),
    "createExchange": Name("exchanges create"),
    "getExchanges": Name("exchanges list", "exchange type durable internal publishInRate publishOutRate"),
    "deleteExchange": Name("exchanges delete"),
    "bindQueue": Name("bindings create", argument="queueName"),
    "unbindQueue": Name("bindings delete", argument="queueName"),
    "getBindings": Name("bindings list", "exchange queueName destinationExchange routingKey arguments"),
    "createPolicy": Name("policies create"),
    "getPolicies": Name("policies list", "name pattern applyTo priority definition"),
    "deletePolicy": Name("policies delete"),
    "messagePublish": Name("publish"),
    "getMessage": Name("messages life"),
    "getMessages": Name("messages get", "exchange routingKey redelivered bytes message"),
    "getScheduled": Name("messages scheduled"),
    "createConsumer": Name("consumers create", argument="queueName"),
    "getConsumers": Name("consumers list", "name queueName url state delivered retried deadLettered reason lastError"),
    "getConsumer": Name("consumers get", argument="name"),
    "pauseConsumer": Name("consumers pause", argument="name"),
    "resumeConsumer": Name("consumers resume", argument="name"),
    "updateConsumer": Name("consumers update", argument="name"),
    "deleteConsumer": Name("consumers delete", argument="name"),
    "testConsumer": Name("consumers test", argument="name"),
    "getDeliveries": Name("deliveries list", "at consumer queueName messageId attempt result status error durationMs"),
    "getHistory": Name("history"),
    "replayDeadLetters": Name("dead-letters replay"),
    "getDeadLetters": Name("dead-letters groups"),
    "exportDeadLetters": Name("dead-letters export"),
    "moveDeadLetters": Name("dead-letters move"),
    "deleteDeadLetters": Name("dead-letters delete"),
    "getReplay": Name("dead-letters progress"),
    "getConnections": Name("connections list", "connectionId connectionName user peer state channels connectedAt"),
    "getChannels": Name("connections channels", "connectionId number state consumers prefetch unacked unconfirmed"),
    "closeConnection": Name("connections close"),
    "login": Name("login"),
    "logout": Name("logout"),
    "createUser": Name("users create"),
    "getUsers": Name("users list"),
    "updateUser": Name("users update"),
    "deleteUser": Name("users delete"),
    "changePassword": Name("users password"),
    "createApiKey": Name("keys create"),
    "getApiKeys": Name("keys list", "name role queues createdBy expiresAt lastUsedAt"),
    "deleteApiKey": Name("keys delete"),
    "getAuditLog": Name("audit list", "at user action resource remote status"),
    "exportConfiguration": Name("export"),
    "applyConfiguration": Name("apply"),
    "getOverview": Name("overview"),
    "acknowledgeProblem": Name("problems acknowledge"),
    "deleteAcknowledgement": Name("problems unacknowledge"),
    "healthLive": Name("alive"),
    "healthReady": Name("health"),
    "metrics": Name("metrics"),
    "openapiJson": Name("openapi"),
    "postmanJson": Name("postman"),
}
