"""The error about keys of a study that contradict each other."""

from collections.abc import Sequence


class InconsistencyError(ValueError):
    """Contradictions between keys of a study, each with the key to look at."""

    def __init__(self, by_key: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(told for _, told in by_key))
        self.by_key = by_key
