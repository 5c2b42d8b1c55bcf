"""YAML text to plain values, with the line of every key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablate.errors import StudyError

MAX_BYTES = 64_000
DEEPEST = 20
"""Levels of lists and mappings in each other; ruamel.yaml's time grows with their square."""


def parse(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's mapping and, by dotted key, `file:line` where it stands."""
    try:
        with path.open("rb") as file:  # no more of it: a pipe or a device has no size and no end
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise StudyError(f"{path}: no such study file: check the path, or see studies/") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is not text in UTF-8: a study is a YAML file") from None
    if len(content) > MAX_BYTES:
        raise StudyError(f"{path}: its bytes are more than a study's {MAX_BYTES:,}: shorten it")
    yaml = YAML(typ="safe", pure=True)
    root: Node | None = None
    try:
        refuse_traps(yaml, text, path)
        root = yaml.compose(text)
        raw = yaml.load(text)
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StudyError(f"{path}{line}: {' '.join(str(error.problem).split())}") from None
    except (YAMLError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise StudyError(f"{path}{_line_of_no_value(root)}: is not YAML ({told})") from None
    if not isinstance(raw, dict) or root is None:
        raise StudyError(f"{path}: is no study: it must be a mapping that begins with 'name:'")
    return raw, {key: f"{path}:{line}" for key, line in _line_numbers(root)}


def refuse_traps(yaml: YAML, text: str, path: Path) -> None:
    """Raise a StudyError at what makes a short file long, deep or more than text."""
    depth = 0
    for event in yaml.parse(text):
        at = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            raise StudyError(f"{at}: alias '*{event.anchor}': write the value out")
        if isinstance(event, NodeEvent) and (tag := getattr(event, "tag", None)) is not None:
            raise StudyError(f"{at}: tag '{tag}': write the plain value")
        if any("\ud800" <= letter <= "\udfff" for letter in getattr(event, "value", "")):
            # An escape may spell it; no file and no message can hold it.
            raise StudyError(f"{at}: half a character in '{event.value}': write it whole")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise StudyError(f"{at}: more than {DEEPEST} levels in each other: write it flatter")


def _line_of_no_value(root: Node | None) -> str:
    """`:line` of the first scalar that looks like a number or a date and is none; empty if none does."""
    for node in _scalars(root):
        try:
            YAML(typ="safe", pure=True).load(node.value)
        except (YAMLError, ValueError):
            return f":{node.start_mark.line + 1}"
    return ""


def _scalars(node: Node | None) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, SequenceNode | MappingNode):
        for below in node.value:
            for part in below if isinstance(below, tuple) else (below,):
                yield from _scalars(part)


def _line_numbers(node: Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            dotted = f"{prefix}.{key.value}" if prefix else str(key.value)
            yield dotted, key.start_mark.line + 1
            yield from _line_numbers(value, dotted)
    elif isinstance(node, SequenceNode):
        for position, value in enumerate(node.value):
            dotted = f"{prefix}.{position}"
            yield dotted, value.start_mark.line + 1
            yield from _line_numbers(value, dotted)
