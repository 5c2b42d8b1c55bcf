"""Apply the overrides `key=value` of the command line to the content of a study file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ablate.errors import StudyError
from ablate.study.owners import join_parts
from ablate.study.yaml_text import refuse_traps


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Parse `key=value` pairs into a mapping. The values are YAML."""
    raw: dict[str, Any] = {}
    for override in overrides:
        _apply_override(raw, {}, override)
    return raw


def apply_overrides(raw: dict[str, Any], lines: dict[str, str], overrides: Sequence[str]) -> list[str]:
    """Apply all `key=value` overrides, and return the mistakes in them."""
    mistakes: list[str] = []
    for override in overrides:
        try:
            _apply_override(raw, lines, override)
        except StudyError as error:
            mistakes += error.lines
    return mistakes


def _apply_override(raw: dict[str, Any], lines: dict[str, str], override: str) -> None:
    """Apply one override `key=value` to `raw`, and store the place of its key in `lines`."""
    key, equals, text = override.partition("=")
    if not equals or not key or not all(key.split(".")):
        raise StudyError(f"command line: '{override}' is not KEY=VALUE: write for example recipe.epochs=2")
    yaml = YAML(typ="safe", pure=True)
    try:
        refuse_traps(yaml, text, Path(key))
        value = yaml.load(text)
    except (YAMLError, ValueError, StudyError):
        raise StudyError(f"command line: {key}: '{text}' is not a YAML value") from None
    *parents, last = join_parts(key.split("."))
    place = raw
    for parent in parents:
        nested = place.setdefault(parent, {})
        if not isinstance(nested, dict):
            raise StudyError(f"command line: {key}: '{parent}' is a value and has no keys below it")
        place = nested
    place[last] = value
    for below in [other for other in lines if other.startswith(f"{key}.")]:
        del lines[below]  # the override's value replaces all keys nested below its key
    lines[key] = "command line"
