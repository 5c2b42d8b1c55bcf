"""The rule by which a comparison gets its verdict."""

from typing import Protocol


class Rule(Protocol):
    """The settings that a verdict depends on, in addition to the results. A study's `Decision` is a rule."""

    @property
    def alpha(self) -> float:
        """The highest accepted probability that any of the tests shows a difference that does not exist."""

    @property
    def margin(self) -> float | None:
        """The smallest difference that matters, in the metric's unit. None if the user gave no margin."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the metric is better."""
