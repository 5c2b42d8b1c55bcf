"""Write any text as LaTeX. It uses only commands of LaTeX's kernel, so every LaTeX engine can print it."""

import re
import unicodedata
from typing import Any


class Latex(str):
    """LaTeX code. Templates print it without changes. They escape every other value."""

    __slots__ = ()


ASCII = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedblright{}",
    # At the start of a table's row, LaTeX would read these as an argument of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}
"""The ASCII characters with a special meaning in LaTeX, or missing in its default font encoding (OT1)."""
LIGATURES = re.compile(r"([-,'])(?=\1)")
"""Finds a character that LaTeX would join with the next one into a dash or a quotation mark."""
BREAKS = re.compile(r"(=|/|\\_|,(?=[A-Za-z]))(?=[A-Za-z0-9])")
"""A line may end after these characters, if it cannot end at a space.

Names such as `activation=tanh,learning_rate=0.3` have no spaces.
"""
SYMBOLS = {
    "\N{NO-BREAK SPACE}": "~",
    "×": r"\ensuremath{\times}",
    "÷": r"\ensuremath{\div}",
    "·": r"\ensuremath{\cdot}",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "°": r"\textdegree{}",
    "µ": r"\ensuremath{\mu}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≈": r"\ensuremath{\approx}",
    "≠": r"\ensuremath{\neq}",
    "∞": r"\ensuremath{\infty}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "©": r"\copyright{}",
    "£": r"\pounds{}",
    "…": r"\ldots{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‐": "-{}",
    "‑": "-{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "¡": r"\textexclamdown{}",
    "¿": r"\textquestiondown{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING DOT BELOW}": "d",
    "\N{COMBINING MACRON BELOW}": "b",
}
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩ",
        re.findall(
            r"\w+",
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho varsigma sigma "
            "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega",
        ),
        strict=True,
    )
)
"""The Greek letters that LaTeX has commands for."""


def escape_latex(text: object) -> Latex:
    """Write any text as LaTeX. Line breaks and tabs become spaces.

    The result needs no package and no special font, so it compiles with pdfLaTeX, XeLaTeX and LuaLaTeX. A
    character that LaTeX's own fonts lack, such as an emoji, is replaced by its Unicode number: `[U+1F600]`.
    Control characters, such as those that change the direction of reading, are replaced in the same way.
    """
    if isinstance(text, Latex):
        return text
    printed = "".join(map(_escape_character, unicodedata.normalize("NFC", str(text))))
    return Latex(BREAKS.sub(r"\1\\penalty500{}", LIGATURES.sub(r"\1{}", printed)))


def finish_value(value: Any) -> Latex:
    """Escape a value that a template prints, unless it is LaTeX already. Jinja calls this as `finalize`."""
    return escape_latex(value)


def _escape_character(character: str) -> str:
    known = ASCII.get(character) or SYMBOLS.get(character)
    if known:
        return known
    if character.isspace():
        return " "
    if character.isascii() and character.isprintable():
        return character
    if character in GREEK:
        return rf"\ensuremath{{\{GREEK[character]}}}"
    return _spell_accents(character) or f"{{[}}U+{ord(character):04X}{{]}}"


def _spell_accents(character: str) -> str | None:
    r"""Write an accented Latin letter with commands, such as `\'{e}`. Return None for other characters."""
    letter, *marks = list(unicodedata.normalize("NFD", character))
    if not (marks and letter.isascii() and letter.isalpha() and ACCENTS.keys() >= set(marks)):
        return None
    for mark in marks:
        letter = rf"\{ACCENTS[mark]}{{{letter}}}"
    return letter
