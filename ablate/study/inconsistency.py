"""The error for a study whose keys contradict each other."""

from collections.abc import Sequence


class InconsistencyError(ValueError):
    """Keys of a study contradict each other. `by_key` pairs the key to look at with the message about it."""

    def __init__(self, by_key: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(told for _, told in by_key))
        self.by_key = by_key
