"""Parse YAML text into plain values, and find the line of every key."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablate.errors import StudyError

MAX_BYTES = 64_000
DEEPEST = 20
"""The maximum number of nested levels. The time of ruamel.yaml grows with the square of this number."""


def parse(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the mapping in the file, and the place (`file:line`) of every dotted key.

    Raises:
        StudyError: the file is missing, unreadable or too long, or is not a YAML mapping.
    """
    try:
        with path.open("rb") as file:  # a limited number of bytes is read, because a pipe might never end
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise StudyError(f"{path}: no such study file: check the path, or choose one from studies/") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is not UTF-8 text: a study is a YAML file") from None
    if len(content) > MAX_BYTES:
        raise StudyError(f"{path}: has more than {MAX_BYTES:,} bytes, the limit of a study file: shorten it")
    yaml = YAML(typ="safe", pure=True)
    root: Node | None = None
    try:
        refuse_traps(yaml, text, path)
        root = yaml.compose(text)
        raw = yaml.constructor.construct_document(root) if root is not None else None
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StudyError(f"{path}{line}: {' '.join(str(error.problem).split())}") from None
    except (YAMLError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise StudyError(f"{path}{_find_invalid_line(root)}: is not YAML ({told})") from None
    if not isinstance(raw, dict) or root is None:
        raise StudyError(f"{path}: is not a study: write a mapping that begins with 'name:'")
    return raw, {key: f"{path}:{line}" for key, line in _number_lines(root)}


def find_line(lines: Mapping[str, str], key: str) -> str | None:
    """Find the place of a dotted key. If the file lacks the key, find that of the nearest key above it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key)


def refuse_traps(yaml: YAML, text: str, path: Path) -> None:
    """Raise a StudyError for an alias, an anchor defined twice, a tag, a lone surrogate or deep nesting.

    With aliases or deep nesting, a short file can take much memory or time. A tag can create objects that are
    not plain values. A lone surrogate is half a character and cannot be written to a file.
    """
    depth = 0
    anchors = set()
    for event in yaml.parse(text):
        at = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            raise StudyError(f"{at}: alias '*{event.anchor}' is not allowed: write the value itself")
        if isinstance(event, NodeEvent) and event.anchor is not None:
            if event.anchor in anchors:  # ruamel.yaml would print a warning of several lines
                raise StudyError(f"{at}: anchor '&{event.anchor}' is defined twice: remove it")
            anchors.add(event.anchor)
        if isinstance(event, NodeEvent) and (tag := getattr(event, "tag", None)) is not None:
            raise StudyError(f"{at}: tag '{tag}' is not allowed: write the plain value")
        if any("\ud800" <= letter <= "\udfff" for letter in getattr(event, "value", "")):
            # An escape sequence can produce a lone surrogate, which UTF-8 cannot encode.
            raise StudyError(f"{at}: '{event.value}' contains half a character: write the whole character")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise StudyError(f"{at}: more than {DEEPEST} nested levels: use fewer levels")


def _find_invalid_line(root: Node | None) -> str:
    """Return `:line` of the first value that looks like a number or a date but is invalid.

    Return an empty text if there is no such value.
    """
    for node in _list_scalars(root):
        try:
            YAML(typ="safe", pure=True).load(node.value)
        except (YAMLError, ValueError):
            return f":{node.start_mark.line + 1}"
    return ""


def _list_scalars(node: Node | None) -> Iterator[ScalarNode]:
    """Yield every scalar (single value) of a YAML tree."""
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, SequenceNode | MappingNode):
        for below in node.value:
            for part in below if isinstance(below, tuple) else (below,):
                yield from _list_scalars(part)


def _number_lines(node: Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield every dotted key with its line number."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            dotted = f"{prefix}.{key.value}" if prefix else str(key.value)
            yield dotted, key.start_mark.line + 1
            yield from _number_lines(value, dotted)
    elif isinstance(node, SequenceNode):
        for position, value in enumerate(node.value):
            dotted = f"{prefix}.{position}"
            yield dotted, value.start_mark.line + 1
            yield from _number_lines(value, dotted)
