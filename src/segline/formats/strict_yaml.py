"""YAML as settings are written in it: one document of plain values, whose keys are text.

PyYAML composes and constructs recursively and follows every alias, so the events, which it parses without
recursion, are bounded before anything is built of them.
"""

import re
from collections.abc import Iterator
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
"""Keys and values with every alias counted as often as it is used."""
MAX_DEPTH = 32

_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TYPING = ValueError, TypeError, KeyError, AttributeError, OverflowError  # PyYAML on a value that its tag does not fit


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a YAML file says.

    Args:
        content: plain values; None for an empty file.
        node: the same with the places of its parts; None for an empty file.
    """

    content: Any
    node: yaml.Node | None


def parse(text: str, *, place: object, remedy: str = "correct that line") -> Document:
    """Read `text` within the bounds of this module.

    Args:
        place: the file, for errors.
        remedy: what to do where it is no such YAML.

    Raises:
        ConfigError: it is not one YAML document of plain values, gives a key twice, or is larger than settings are;
            the line is named.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            place, found=f"{len(text)} characters", expected=f"at most {MAX_CHARACTERS} of settings", remedy=remedy
        )
    try:
        reader = _Reader(list(_bounded(text)))
        node = reader.get_single_node()
        if node is None:
            return Document(content=None, node=None)
        _check_keys(node, place)
        return Document(content=reader.construct_document(node), node=node)
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


class _Reader(Composer, SafeConstructor, Resolver):  # as PyYAML's own loaders are made
    """Builds nodes and values of events that were parsed, and checked, before."""

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
        except _TYPING as error:
            kind = node.tag.rpartition(":")[2]
            raise _refusal(f"{shortened(repr(node.value))}, which is no {kind}", "a value", node.start_mark) from error


@dataclass
class _Open:
    """A collection whose end is still to come, or, once it has, what an alias of it repeats."""

    anchor: str | None
    values: int = 1
    height: int = 1
    closed: bool = False


def _bounded(text: str) -> Iterator[yaml.Event]:
    """The events of `text`, up to the first that leads out of the bounds.

    Raises:
        MarkedYAMLError, ReaderError: it does, or `text` is no YAML.
    """
    anchors: dict[str, _Open] = {}
    whole = _Open(None)
    opened = [whole]
    documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _refusal("a second document", "one", event.start_mark)
            case yaml.AliasEvent():
                _add(opened, _aliased(anchors, event), event.start_mark)
            case yaml.ScalarEvent():
                _check_text(event)
                _check_tag(event)
                _enter(anchors, scalar := _Open(event.anchor, closed=True), event.start_mark)
                _add(opened, scalar, event.start_mark)
            case yaml.CollectionStartEvent():
                _check_tag(event)
                _enter(anchors, collection := _Open(event.anchor), event.start_mark)
                opened.append(collection)
                if len(opened) > MAX_DEPTH:
                    raise _too_deep(event.start_mark)
            case yaml.CollectionEndEvent():
                ended = opened.pop()
                ended.closed = True
                _add(opened, ended, event.start_mark)
        yield event


def _enter(anchors: dict[str, _Open], named: _Open, mark: Any) -> None:
    if named.anchor is not None:
        if named.anchor in anchors:
            raise _refusal(f"a second anchor &{shortened(named.anchor)}", "a name of its own", mark)
        anchors[named.anchor] = named


def _aliased(anchors: dict[str, _Open], event: yaml.AliasEvent) -> _Open:
    known = anchors.get(event.anchor or "")
    name = shortened(event.anchor or "")
    if known is None:
        raise _refusal(f"*{name}, but no &{name} before it", "the anchor first", event.start_mark)
    if not known.closed:
        raise _refusal(f"*{name} inside &{name}: it would hold itself", "an end", event.start_mark)
    return known


def _add(opened: list[_Open], part: _Open, mark: Any) -> None:
    holder = opened[-1]
    holder.values += part.values
    holder.height = max(holder.height, part.height + 1)
    if sum(each.values for each in opened) > MAX_VALUES:
        raise _refusal(f"more than {MAX_VALUES} values, aliases followed", "fewer, as in any settings", mark)
    if len(opened) + part.height > MAX_DEPTH + 1:
        raise _too_deep(mark)


def _too_deep(mark: Any) -> ConstructorError:
    return _refusal(f"lists or mappings more than {MAX_DEPTH} deep", "fewer, as in any settings", mark)


def _check_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.tag is not None and event.tag not in {*_PLAIN, "!"}:
        raise _refusal(f"the tag {shortened(event.tag)}", "a plain value without it", event.start_mark)


def _check_text(event: yaml.ScalarEvent) -> None:
    if len(event.value) > MAX_TEXT_CHARACTERS:
        raise _refusal(f"a text of {len(event.value)} characters", f"at most {MAX_TEXT_CHARACTERS}", event.start_mark)
    found = _NO_TEXT.search(event.value)
    if found:
        raise _refusal(f"the character U+{ord(found[0]):04X}", "text", event.start_mark)


def _check_keys(node: yaml.Node, place: object) -> None:
    """PyYAML fails on keys that are no plain values, and would take the last of equal ones in silence."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, place)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag not in {_TEXT, _MERGE}:
            raise ConfigError(
                f"{place}:{line}",
                found=f"a key that is {_described(key)}",
                expected="text as a key",
                remedy="put the key in quotes, or correct the line",
            )
        if key.value in lines:
            raise ConfigError(
                f"{place}:{line} {shortened(key.value)}",
                found=f"a key that line {lines[key.value]} has already given",
                expected="each key once",
                remedy="delete one of them",
            )
        lines[key.value] = line
        _check_keys(value, place)


def _described(key: yaml.Node) -> str:
    kind = key.tag.rpartition(":")[2]
    kinds = {"seq": "a list", "map": "a mapping", "null": "null", "bool": "true or false", "int": "a number"}
    name = kinds.get(kind, f"a {kind}")
    return f"{name} ({shortened(key.value)})" if isinstance(key, yaml.ScalarNode) and key.value else name
