"""Recognise the usual names of the parts of a data set: for training, validation and testing."""

import re

TRAIN, VALIDATION, TEST = "train", "validation", "test"
WORDS = {
    TRAIN: ("train", "training", "trainset"),
    VALIDATION: ("val", "valid", "validation", "validate", "valset", "validset", "dev"),
    TEST: ("test", "testing", "testset", "eval", "evaluation"),
}


def read_split(name: str) -> str | None:
    """Return the part that a name such as `Training` or `VAL` means. Return None for other names."""
    return next((split for split, words in WORDS.items() if name.strip().lower() in words), None)


def read_long_split(name: str) -> str | None:
    """Return the part that a longer name such as `seg_train` or `test set` contains.

    Return None if the name contains no part or several parts.
    """
    words = re.split(r"[^a-z]+", name.lower())
    found = {split for word in words if (split := read_split(word))}
    return found.pop() if len(found) == 1 else None
