"""YAML as people mean it: `no` is a word, 17:30 a time of day, and a key given twice a mistake.

PyYAML reads version 1.1, in which they are False, 1050 and nothing. Values are taken by the core
schema of version 1.2; keys are always text. Each value's line is kept for messages.
"""

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import yaml
from typing_extensions import override

_MAX_VALUES: Final = 20_000
"""Values of the largest document: aliases of aliases may stand for billions."""

_TAGS: Final = (
    ("null", re.compile(r"~|null|Null|NULL|"), lambda _: None),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text[0] in "tT"),
    ("int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)"), int),
    ("float", re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"), float),
)


_PLAIN: Final = "plain"
_TEXT: Final = "tag:yaml.org,2002:str"
_LIST: Final = "tag:yaml.org,2002:seq"


class YamlError(Exception):
    """A text is no YAML that is read here.

    Attributes:
        line: Where, from 1.
    """

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML text says.

    Attributes:
        value: Dictionaries, lists, texts, numbers, booleans and None.
        lines: JSON pointer of each value -> its line, from 1.
    """

    value: Any
    lines: Mapping[str, int]


class _Loader(yaml.SafeLoader):
    """Composes nodes without any opinion on what plain text means."""

    def close(self) -> None:
        """Let go of what it holds."""
        self.dispose()

    @override
    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return str(self.DEFAULT_MAPPING_TAG if kind is yaml.MappingNode else _LIST)


def read_yaml(text: str) -> Document:
    """Read one document.

    Raises:
        YamlError: It is no YAML, has a key twice, a tag, or far too much in it.
    """
    lines: dict[str, int] = {}
    try:
        with closing(_Loader(text)) as loader:
            node = loader.get_single_node()
        value = None if node is None else _Builder(lines).build(node, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        detail = f"{error.problem or 'this is no YAML'}"
        raise YamlError(detail, 1 if mark is None else mark.line + 1) from None
    except yaml.YAMLError as error:
        raise YamlError(str(error), 1) from None
    except RecursionError:
        raise YamlError("the document is nested too deeply, or holds itself", 1) from None
    return Document(value, lines)


class _Builder:
    def __init__(self, lines: dict[str, int]) -> None:
        self._lines = lines
        self._values = 0

    def build(self, node: yaml.Node, pointer: str) -> Any:
        line = node.start_mark.line + 1
        self._lines[pointer] = line
        self._values += 1
        if self._values > _MAX_VALUES:
            raise YamlError(f"the document has more than {_MAX_VALUES} values", line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, pointer)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(inner, f"{pointer}/{index}") for index, inner in enumerate(node.value)
            ]
        return _scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, pointer: str) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, inner in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError("a key must be a text", line)
            key = key_node.value
            if key in value:
                raise YamlError(f"the key {key!r} is there twice", line)
            token = key.replace("~", "~0").replace("/", "~1")
            value[key] = self.build(inner, f"{pointer}/{token}")
            self._lines[f"{pointer}/{token}"] = line
        return value


def _scalar(node: yaml.Node, line: int) -> Any:
    if node.tag == _PLAIN:
        for _, pattern, read in _TAGS:
            if pattern.fullmatch(node.value):
                try:
                    return read(node.value)
                except ValueError:
                    raise YamlError("a number has far too many digits", line) from None
        return node.value
    if node.tag == _TEXT:
        return node.value
    raise YamlError(f"the tag {node.tag!r} is not read here", line)
