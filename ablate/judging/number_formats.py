"""Texts that a person reads as a number, but no program does: `1,016.9`, `0,95`, `80.1%`, `0.8 ± 0.1`."""

import re

FORMATTED = re.compile(
    r"[~≈<>≤≥$€£(]*\s*[+\-−]?\s*"  # such as ≈ or a sign
    r"[.,]?\d[\d.,'’_/\s]*([eE][+\-−]?\d+)?"  # digits with any separators
    r"\s*((±|\+/-|\+-|\\pm|\().*|%|[^\W\d]{1,4}|\))?"  # a spread, a per cent sign, or a unit such as ms
)


def name_format(text: str) -> str | None:
    """Name the format of a text that a person reads as a number. Return None for other texts."""
    text = text.strip()
    if not FORMATTED.fullmatch(text):
        return None
    if re.search(r"±|\+/?-|\\pm|\d\s*\(", text):
        return "a number with a spread"
    if text.endswith("%"):
        return "a number with a per cent sign"
    if "," in text:
        return "a number with a comma, which separates decimals or thousands"
    if re.search(r"\d['’_\s]\d|\..*\.", text):
        return "a number with a separator of thousands"
    return "a number with other characters"
