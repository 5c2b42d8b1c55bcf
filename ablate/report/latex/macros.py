r"""Names of LaTeX macros, such as `\poolingMaxDifference`, made from the names of arms."""

import hashlib
import re
import unicodedata

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
WORDS = {".": "Point", "-": "Minus", "×": "Times", "+": "Plus"}
HASH_LETTERS = 6


class MacroNames:
    """Gives a separate macro name to each quantity (such as a difference) of each subject (such as an arm).

    A name consists of letters only, because LaTeX allows nothing else in the name of a macro. It is made from
    the subject's name, so it stays the same when a study gets more arms.
    """

    def __init__(self, prefix: str = "") -> None:
        """Start without names. Every name begins with `prefix`, so that one paper can use two studies."""
        self._prefix = join_words(prefix) if prefix else ""
        self._owners: dict[str, tuple[str, str]] = {}

    def name(self, subject: str, quantity: str) -> str:
        """Return the macro's name without its backslash. `quantity` is one capitalised word.

        If another subject or quantity has the same name already, a few letters are added. They are computed
        from the subject's name.
        """
        plain, owner = self._join(subject, quantity), (subject, quantity)
        name = plain
        for attempt in range(100):
            if self._owners.setdefault(name, owner) == owner:
                return name
            name = self._join(subject, _hash_letters(f"{subject}{attempt or ''}") + quantity)
        raise AssertionError(f"no free name for {subject!r}")  # other macros have taken all hundred names

    def _join(self, subject: str, quantity: str) -> str:
        words = join_words(subject) or _hash_letters(subject).lower()
        if self._prefix:
            words = self._prefix + words[0].upper() + words[1:]
        return words + quantity


def join_words(text: str) -> str:
    """Join the words of a text to one word of letters: `kernel_size=0.5` becomes `kernelSizeZeroPointFive`.

    Letters lose their accents. Characters that are neither a letter of the Latin alphabet nor a digit are
    left out. The result can be empty.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    plain = re.sub(r"(?<=\d)\.(?=\d)|(?<![\w\s])-(?=[\d.])|[×+]", lambda found: f" {WORDS[found[0]]} ", plain)
    plain = re.sub(r"[0-9]", lambda found: f" {DIGITS[int(found[0])]} ", plain)
    words = re.findall(r"[A-Za-z]+", plain)
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined[:1].lower() + joined[1:]


def _hash_letters(text: str) -> str:
    """Compute a few letters from a text. The same text gives the same letters on every machine."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
    letters = ""
    for _ in range(HASH_LETTERS):
        number, letter = divmod(number, 26)
        letters += chr(ord("a") + letter)
    return letters.capitalize()
