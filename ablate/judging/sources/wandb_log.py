"""Read the file `run-ID.wandb`, in which Weights & Biases (W&B) logs all records of a run.

A run in offline mode leaves only this file (wandb/wandb#9646). W&B writes the summary as JSON and the
configuration as YAML only when the run is synchronised with a server. The file begins with a header of 7
bytes. Then follows a log in LevelDB's format (https://github.com/google/leveldb/blob/main/doc/log_format.md).
Each record is a Protocol Buffers message `Record` of W&B's public `wandb_internal.proto`. Only a few fields
of these messages are read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, format_error

_HEADER = b":W&B\xe1\xbe\x00"
_BLOCK, _CHUNK_HEADER = 32_768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
"""The numbers of the fields of a message `Record`.

The constants below are the numbers of the fields of the messages inside a `Record`.
"""
_UPDATE, _REMOVE = 1, 2
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
_RUN_ID, _PROJECT, _RUN_CONFIG, _RUN_SUMMARY, _GROUP, _JOB_TYPE, _NAME = 1, 3, 4, 5, 6, 7, 8
_EXIT_CODE = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(kw_only=True)
class WandbRun:
    """What is known of a run: texts such as its `name`, its configuration, its summary, and how it ended.

    `exit_code` is None if the end of the run was not recorded. Such a run goes on, or it was killed.
    """

    texts: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def is_wandb_log(path: Path) -> bool:
    """Return whether the file begins like a log of W&B."""
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError:
        return False


def read_wandb_log(path: Path) -> WandbRun:
    """Return what a log says about its run.

    An incomplete end of the log is left out. A process that is killed while it writes leaves such an end.

    Raises:
        AblateError: the file cannot be read, is not such a log, or is damaged before its end.
    """
    run = WandbRun()
    last_history: bytes | None = None
    try:
        content = path.read_bytes()
        if not content.startswith(_HEADER):
            raise AblateError(f"{path}: does not begin like a log of W&B")
        for record in _split_records(content):
            for number, value in _split_fields(record):
                if number == _HISTORY:
                    last_history = value
                elif number in (_SUMMARY, _CONFIG):
                    _apply_changes(run.summary if number == _SUMMARY else run.config, value)
                elif number == _RUN:
                    _apply_run(run, value)
                elif number == _EXIT:
                    run.exit_code = int(dict(_split_fields(value)).get(_EXIT_CODE, 0))
        if last_history is not None and not any(not name.startswith("_") for name in run.summary):
            _apply_changes(run.summary, last_history)
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise AblateError(f"{path}: is a damaged log of W&B ({format_error(error)})") from None
    return run


def _split_records(content: bytes) -> Iterator[bytes]:
    """Yield each complete record.

    A record is one chunk, or it consists of a first chunk, middle chunks and a last chunk.
    """
    place, parts = len(_HEADER), bytearray()
    while place + _CHUNK_HEADER <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _CHUNK_HEADER:  # no chunk begins so near the end of a block: the rest is filled with zeros
            place += left
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        start, place = place + _CHUNK_HEADER, place + _CHUNK_HEADER + length
        if place > len(content) or kind == 0:
            return
        if kind in (_FULL, _FIRST):
            parts.clear()
        parts += content[start:place]
        if kind in (_FULL, _LAST):
            yield bytes(parts)
        elif kind not in (_FIRST, _MIDDLE):
            raise ValueError(f"chunk of unknown kind {kind}")


def _split_fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field of a Protocol Buffers message.

    A value is an int or bytes.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    place = 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _read_varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            length, place = _read_varint(message, place)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"field of unknown kind {kind}")
        if place + length > len(message):
            raise ValueError("field is longer than its message")
        yield number, message[place : place + length]
        place += length


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    """Read an integer that is stored in groups of 7 bits from the position `place`.

    Return the integer, and the position after it.
    """
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _apply_run(run: WandbRun, message: bytes) -> None:
    names = {_RUN_ID: "run_id", _PROJECT: "project", _GROUP: "group", _JOB_TYPE: "job_type", _NAME: "name"}
    for number, value in _split_fields(message):
        if number in names:
            run.texts[names[number]] = value.decode()
        elif number == _RUN_CONFIG:
            _apply_changes(run.config, value)
        elif number == _RUN_SUMMARY:
            _apply_changes(run.summary, value)


def _apply_changes(values: dict[str, Any], message: bytes) -> None:
    """Set and remove entries of `values`, as a message says.

    The message is about the configuration, the summary or the history of a run.
    """
    for number, item in _split_fields(message):
        if number not in (_UPDATE, _REMOVE) or not isinstance(item, bytes):
            continue  # in a message of the history, the second field is the step
        keys, text = _read_item(item)
        if not keys:
            continue
        place = values
        for key in keys[:-1]:
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        if number == _REMOVE:
            place.pop(keys[-1], None)
        else:
            place[keys[-1]] = json.loads(text)


def _read_item(item: bytes) -> tuple[list[str], str]:
    """Return the nested keys of an entry, and the value of the entry as JSON text."""
    key, nested, text = "", [], "null"
    for number, value in _split_fields(item):
        if number == _KEY:
            key = value.decode()
        elif number == _NESTED_KEY:
            nested.append(value.decode())
        elif number == _VALUE_JSON:
            text = value.decode()
    return nested or ([key] if key else []), text
