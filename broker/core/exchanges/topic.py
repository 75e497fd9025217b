"""topic: routes by patterns of words, `*` for one word and `#` for any number (AMQP 0-9-1 §3.1.3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.core.exchanges.base import Binding, BindingKey, Exchange
from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.exchanges.base import Target


class _Node:
    """A node of the trie: the patterns with the same words so far."""

    __slots__ = ("children", "targets")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.targets: dict[BindingKey, Target] = {}


class Topic(Exchange):
    """An exchange with its patterns in a trie: routing costs the words of the key, not the number of bindings."""

    type = "topic"

    def __init__(self, name: str, **properties: object) -> None:
        super().__init__(name, **properties)  # type: ignore[arg-type]
        self._root = _Node()

    def route(self, message: Message, routing_key: str) -> Iterable[Target]:
        words = routing_key.split(".") if routing_key else []
        found: dict[BindingKey, Target] = {}
        # Visit each pair of node and word once: otherwise many `#` in a pattern take exponential time.
        seen: set[tuple[int, int]] = set()
        pending = [(self._root, 0)]
        while pending:
            node, at = pending.pop()
            if (id(node), at) in seen:
                continue
            seen.add((id(node), at))
            if at == len(words):
                found.update(node.targets)
            elif node.children:
                pending += [(child, at + 1) for word in (words[at], "*") if (child := node.children.get(word))]
            rest = node.children.get("#")
            if rest is not None:
                pending += [(rest, skip) for skip in range(at, len(words) + 1)]
        return found.values()

    def _add(self, binding: Binding) -> None:
        node = self._root
        for word in _words(binding):
            node = node.children.setdefault(word, _Node())
        node.targets[binding.key] = binding.target

    def _remove(self, binding: Binding) -> None:
        path = [self._root]
        words = _words(binding)
        for word in words:
            path.append(path[-1].children[word])
        del path[-1].targets[binding.key]
        for word, parent, node in zip(reversed(words), reversed(path[:-1]), reversed(path), strict=False):
            if node.targets or node.children:
                break
            del parent.children[word]


def _words(binding: Binding) -> list[str]:
    return binding.routing_key.split(".") if binding.routing_key else []
