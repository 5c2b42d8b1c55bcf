"""Mutated study files: bytes flipped, lines deleted, repeated or swapped, values replaced."""

import random
import re
from collections.abc import Iterator

from tests.conftest import STUDIES

VALUES = (
    "null", "true", "no", "1e-3", "1e400", ".nan", "-.inf", "0", "-1", "1000000000000", "''", "' '", "[]", "{}", "[null]",
    "[[1]]", "{a: 1}", "{value: 1, when: {x: 1}}", "'../../x'", "'=cmd()'", "<script>", "$\\frac$", '"\\0"', '"\\ud800"',
    "2026-01-01", "2026-99-99", "!!python/name:os.system", "!!int x", "!!bool x", "!!binary aGk=", "!!omap [a: 1]", "&a 1",
    "*a", "lenet", "mlp", "folder", "os:system", "0x1F", "1_000", "x" * 301, "9" * 400, "9" * 5000, "12:30:45", "{1: 2}",
    "{null: 1}", "{[1]: 2}", "[1, a]", "[1.5]", "[-3]", "[" * 50,
)  # fmt: skip
"""Replacements for a value."""
VALUE = re.compile(r"(?<=[:\[,{ ])[^\s:\[\]{},#]+(?=[\s,\]}]|$)", re.MULTILINE)


def mutated_studies(count: int, seed: int) -> Iterator[bytes]:
    """Mutate the files of studies/ in turn, `count` times in all. The same seed gives the same mutants."""
    rng = random.Random(seed)
    texts = [path.read_text() for path in sorted(STUDIES.glob("*.yaml"))]
    for number in range(count):
        content = texts[number % len(texts)].encode()
        for _ in range(rng.choice((1, 1, 1, 2))):
            content = rng.choice(
                (_flip_bytes, _delete_bytes, _edit_lines, _edit_lines, _replace_value, _replace_value)
            )(content, rng)
        yield content


def _flip_bytes(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _delete_bytes(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.choice((1, 1, 3, 20)) :]


def _edit_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.randrange(3)
    if how == 0:
        del lines[one]
    elif how == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _replace_value(content: bytes, rng: random.Random) -> bytes:
    text = content.decode(errors="replace")
    places = list(VALUE.finditer(text))
    if not places:
        return content
    place = rng.choice(places)
    return (text[: place.start()] + rng.choice(VALUES) + text[place.end() :]).encode()
