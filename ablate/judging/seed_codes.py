"""Encode seeds as integers. The code of a seed depends only on the text of the seed."""

import math
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablate.errors import AblateError

MISSING_NAMES = ("", "nan", "-nan", "na", "n/a", "none", "null", "<na>", "#n/a")
"""Words that stand for a missing number or seed, in lower case."""
WHOLE = re.compile(r"([+-]?\d+)(\.0*)?", re.ASCII)
DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|[1-9](\.\d+)?[eE][+-]?\d{1,2})", re.ASCII)
HASH_BIT = 2**62
"""A seed that is an integer below this one is its own code. The codes of all other seeds have this bit."""
EXACT_FLOATS = 2**53
"""A floating-point number can store every integer up to this one. Larger integers are rounded."""


def encode_seeds(cells: pd.Series, place: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Encode seeds as integers, `(rows,)`. Also return whether each row has a seed, `(rows,)`.

    Seeds that are the same number are the same seed, however they are written: `1`, `01` and `1.0`. All
    other seeds are compared as texts. `place` names the table in messages.

    Raises:
        AblateError: the seeds are floating-point numbers, which cannot hold integers of this size.
    """
    if pd.api.types.is_integer_dtype(cells.dtype) and not cells.hasnans and len(cells):
        numbers = cells.to_numpy()
        if int(numbers.min()) > -HASH_BIT and int(numbers.max()) < HASH_BIT:
            return numbers.astype(np.int64), np.ones(len(cells), bool)
    if pd.api.types.is_float_dtype(cells.dtype) and (cells.abs() > EXACT_FLOATS).any():
        raise AblateError(
            f"{place}: seed: the column '{cells.name}' has floating-point numbers above 2^53, so different "
            "seeds may have become equal: read this column as text"
        )
    has_seed = cells.notna().to_numpy(copy=True)
    encoded = np.zeros(len(cells), np.int64)
    codes, uniques = pd.factorize(cells)
    words = [str(word).strip() for word in uniques]
    of_word = np.array([encode_seed(word) for word in words] or [0], dtype=np.int64)
    encoded[has_seed] = of_word[codes[has_seed]]
    nameless = np.array([word.lower() in MISSING_NAMES for word in words] or [False])
    has_seed[has_seed] = ~nameless[codes[has_seed]]
    return encoded, has_seed


def encode_seed(word: str) -> int:
    """Encode one seed. An integer below 2^62 stays itself, and any other seed becomes a hash."""
    if len(word) <= 18 and word.isascii() and word.isdecimal():  # the usual case, and much faster
        return int(word)
    word = _normalise(word)
    if len(word) <= 20 and WHOLE.fullmatch(word) and abs(int(word)) < HASH_BIT:
        return int(word)
    hashed = pd.util.hash_array(np.array([word], dtype=object), categorize=False)[0]
    return HASH_BIT | int(hashed >> np.uint64(2))


def _normalise(word: str) -> str:
    """Write equal numbers in the same way. Return any other text unchanged."""
    if len(word) > 1_000:
        return word
    if whole := WHOLE.fullmatch(word):
        return str(int(whole[1]))
    if DECIMAL.fullmatch(word) and math.isfinite(number := float(word)):
        return str(int(number)) if number.is_integer() else repr(number)
    return word
