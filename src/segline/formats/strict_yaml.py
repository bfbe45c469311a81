"""Read YAML settings strictly: one document of plain values with text keys.

PyYAML builds values recursively and expands every alias, so a small hostile file can exhaust the memory. Its parser
yields events without recursion. Depth, number and length of values are therefore checked on these events, before
any value is built.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.resolver import Resolver

from segline.errors import ConfigError, shortened

MAX_CHARACTERS = 1 << 18
MAX_TEXT_CHARACTERS = 1 << 14
MAX_NUMBER_CHARACTERS = 64
MAX_VALUES = 10_000
"""Limit of keys and values; an alias counts as all values that it repeats."""
MAX_DEPTH = 32

_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_INTEGER = "tag:yaml.org,2002:int"
_NUMBERS = frozenset({_INTEGER, "tag:yaml.org,2002:float"})
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_WRONG_TYPE_ERRORS = ValueError, TypeError, KeyError, AttributeError, OverflowError
"""Exceptions of PyYAML for a value that does not fit its tag."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """Content of a YAML file.

    Args:
        content: plain values; None for an empty file.
        node: the same, with the position of each part; None for an empty file.
    """

    content: Any
    node: yaml.Node | None


def parse(text: str, *, place: object, remedy: str = "correct that line", number_keys: bool = False) -> Document:
    """Parse YAML within the limits of this module.

    Args:
        place: the file, for errors.
        number_keys: whether keys may be whole numbers, as in the files of other programs.
        remedy: what to do if parsing fails.

    Raises:
        ConfigError: `text` is not one YAML document of plain values, has a duplicate key, or exceeds a limit. The
            message contains the line number.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(place, found=f"{len(text)} characters", expected=f"at most {MAX_CHARACTERS}", remedy=remedy)
    try:
        builder = _Builder(list(_limited_events(text)))
        node = builder.get_single_node()
        if node is None:
            return Document(content=None, node=None)
        _check_keys(node, place, {_TEXT, _MERGE} | ({_INTEGER} if number_keys else set()))
        return Document(content=builder.construct_document(node), node=node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{place}:{line}", found=f"the character U+{error.character:04X}", expected="text", remedy=remedy
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"{place}:{mark.line + 1}" if mark else place,
            found=shortened(error.problem or "no YAML"),
            expected=error.note or "YAML",
            remedy=remedy,
        ) from error


def _refusal(found: str, expected: str, mark: Any) -> ConstructorError:
    return ConstructorError(problem=found, problem_mark=mark, note=expected)


class _Builder(Composer, SafeConstructor, Resolver):  # the bases of PyYAML's own loaders
    """Builds nodes and values from events that have been parsed and checked."""

    def __init__(self, events: list[yaml.Event]) -> None:
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._events = events[::-1]

    def check_event(self, *choices: type[yaml.Event]) -> bool:
        return bool(self._events) and isinstance(self._events[-1], choices)

    def peek_event(self) -> yaml.Event:
        return self._events[-1]

    def get_event(self) -> yaml.Event:
        return self._events.pop()

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_CHARACTERS:
            found = f"a number of {len(node.value)} characters"
            raise _refusal(found, f"at most {MAX_NUMBER_CHARACTERS}", node.start_mark)
        try:
            return super().construct_object(node, deep=deep)
        except _WRONG_TYPE_ERRORS as error:
            kind = node.tag.rpartition(":")[2]
            raise _refusal(f"{shortened(repr(node.value))}, which is no {kind}", "a value", node.start_mark) from error


@dataclass
class _Part:
    """Value or collection of the document, with the size that an alias of it repeats.

    Args:
        values: number of keys and values in it, itself included.
        height: number of nesting levels in it, itself included.
        closed: whether its end has been parsed.
    """

    anchor: str | None
    values: int = 1
    height: int = 1
    closed: bool = False


def _limited_events(text: str) -> Iterator[yaml.Event]:
    """Yield the events of `text`, up to the first that exceeds a limit.

    Raises:
        MarkedYAMLError, ReaderError: an event exceeds a limit, or `text` is not YAML.
    """
    anchors: dict[str, _Part] = {}
    opened = [_Part(None)]
    documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _refusal("a second document", "one", event.start_mark)
            case yaml.AliasEvent():
                _add(opened, _find_anchored(anchors, event), event.start_mark)
            case yaml.ScalarEvent():
                _check_text(event)
                _check_tag(event)
                _register(anchors, scalar := _Part(event.anchor, closed=True), event.start_mark)
                _add(opened, scalar, event.start_mark)
            case yaml.CollectionStartEvent():
                _check_tag(event)
                _register(anchors, collection := _Part(event.anchor), event.start_mark)
                opened.append(collection)
                if len(opened) > MAX_DEPTH:
                    raise _too_deep(event.start_mark)
            case yaml.CollectionEndEvent():
                ended = opened.pop()
                ended.closed = True
                _add(opened, ended, event.start_mark)
        yield event


def _register(anchors: dict[str, _Part], part: _Part, mark: Any) -> None:
    if part.anchor is not None:
        if part.anchor in anchors:
            raise _refusal(f"a second anchor &{shortened(part.anchor)}", "each anchor once", mark)
        anchors[part.anchor] = part


def _find_anchored(anchors: dict[str, _Part], event: yaml.AliasEvent) -> _Part:
    part = anchors.get(event.anchor or "")
    name = shortened(event.anchor or "")
    if part is None:
        raise _refusal(f"*{name}, but no &{name} before it", "the anchor first", event.start_mark)
    if not part.closed:
        raise _refusal(f"*{name} inside &{name}", "an alias outside its own anchor", event.start_mark)
    return part


def _add(opened: list[_Part], part: _Part, mark: Any) -> None:
    parent = opened[-1]
    parent.values += part.values
    parent.height = max(parent.height, part.height + 1)
    if sum(each.values for each in opened) > MAX_VALUES:
        raise _refusal(f"more than {MAX_VALUES} values, aliases followed", "fewer values", mark)
    if len(opened) + part.height > MAX_DEPTH + 1:
        raise _too_deep(mark)


def _too_deep(mark: Any) -> ConstructorError:
    return _refusal(f"lists or mappings nested more than {MAX_DEPTH} deep", "fewer levels", mark)


def _check_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.tag is not None and event.tag not in {*_PLAIN, "!"}:
        raise _refusal(f"the tag {shortened(event.tag)}", "a plain value without a tag", event.start_mark)


def _check_text(event: yaml.ScalarEvent) -> None:
    if len(event.value) > MAX_TEXT_CHARACTERS:
        raise _refusal(f"a text of {len(event.value)} characters", f"at most {MAX_TEXT_CHARACTERS}", event.start_mark)
    found = _CONTROL_CHARACTERS.search(event.value)
    if found:
        raise _refusal(f"the character U+{ord(found[0]):04X}", "text", event.start_mark)


def _check_keys(node: yaml.Node, place: object, allowed: Collection[str]) -> None:
    """Refuse keys of other tags (PyYAML fails on some), and duplicate keys (PyYAML silently uses the last one)."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, place, allowed)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag not in allowed:
            raise ConfigError(
                f"{place}:{line}",
                found=f"a key that is {_describe(key)}",
                expected="text as a key",
                remedy="put the key in quotes, or correct the line",
            )
        if key.value in lines:
            raise ConfigError(
                f"{place}:{line} {shortened(key.value)}",
                found=f"the same key as in line {lines[key.value]}",
                expected="each key once",
                remedy="delete one of them",
            )
        lines[key.value] = line
        _check_keys(value, place, allowed)


def _describe(key: yaml.Node) -> str:
    kind = key.tag.rpartition(":")[2]
    kinds = {"seq": "a list", "map": "a mapping", "null": "null", "bool": "true or false", "int": "a number"}
    name = kinds.get(kind, f"a {kind}")
    return f"{name} ({shortened(key.value)})" if isinstance(key, yaml.ScalarNode) and key.value else name
