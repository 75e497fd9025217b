"""YAML files of a configuration. They are read by the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema): `no` and `12:30` are texts, and a key that occurs twice is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, ScalarNode

from cli.shell_types import not_json

_WIDTH = 120  # characters
_TYPES = {
    "null": r"null|~|",
    "bool": r"true|false",
    "int": r"-?(0|[1-9][0-9]*)",
    "float": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?",
    "merge": r"<<",
}
"""The scalars without quotes that are not texts; each pattern is that of JSON, if there is one."""
_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks of YAML 1.1, which PyYAML changes unless they are escaped."""
_NO_TEXT = re.compile(f"(?:{'|'.join(_TYPES.values())})$")


def read(text: str) -> Any:
    """Return the content of a document in YAML or JSON. Raises ValueError with a sentence that names the line."""
    with suppress(ValueError):  # YAML does not join the two escapes by which JSON writes one character
        return json.loads(text, object_pairs_hook=_object, parse_constant=not_json)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        line = f" in line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise ValueError(f"is not valid YAML{line}: {exc.problem or exc.context}") from None
    except yaml.YAMLError as exc:
        raise ValueError(f"is not valid YAML: {exc}") from None


def written(content: Any) -> str:
    """Return a YAML document, in which texts of several lines are blocks."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node: MappingNode = super().compose_mapping_node(anchor)
        names = [key.value for key, _ in node.value if isinstance(key, ScalarNode)]
        for key, _ in reversed(node.value):
            if names.count(key.value) > 1:
                raise ConstructorError(None, None, f"the key {key.value!r} occurs twice", key.start_mark)
        return node


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in _TYPES.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), None)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, value: str) -> ScalarNode:
    style = '"' if _BREAKS.search(value) else "|" if "\n" in value else "'" if _NO_TEXT.match(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
