"""The names that people give to their parts of a data set: for training, validation and testing."""

import re

TRAIN, VALIDATION, TEST = "train", "validation", "test"
WORDS = {
    TRAIN: ("train", "training", "trainset"),
    VALIDATION: ("val", "valid", "validation", "validate", "valset", "validset", "dev"),
    TEST: ("test", "testing", "testset", "eval", "evaluation"),
}


def read_split(name: str) -> str | None:
    """The part that a folder or a table's cell names, in any case: `Training`, `VAL`. None if none."""
    return next((split for split, words in WORDS.items() if name.strip().lower() in words), None)


def read_long_split(name: str) -> str | None:
    """The part that one word of a longer name names: `seg_train`, `test set`. None if none or several do."""
    words = re.split(r"[^a-z]+", name.lower())
    found = {split for word in words if (split := read_split(word))}
    return found.pop() if len(found) == 1 else None
