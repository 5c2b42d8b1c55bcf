"""The error for a study whose keys contradict each other."""

from collections.abc import Sequence


class InconsistencyError(ValueError):
    """Keys of a study contradict each other.

    `by_key` has a pair for each contradiction: the key that the user should look at, and the message.
    """

    def __init__(self, by_key: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(told for _, told in by_key))
        self.by_key = by_key
