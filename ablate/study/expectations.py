"""What the user knows or expects before a study runs: published values, and predicted differences."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ablate.data.cell_text import require_printable

Text = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(require_printable)]


class Reference(BaseModel):
    """A published value to compare with the study's result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    metric: Literal["test_accuracy", "train_accuracy", "train_loss"]
    value: Annotated[float, Field(allow_inf_nan=False)]
    source: Text


def _require_order(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("the lower end of the predicted interval must come first")
    return interval


Prediction = Annotated[
    tuple[
        Annotated[float, Field(allow_inf_nan=False)],
        Annotated[float, Field(allow_inf_nan=False)],
    ],
    AfterValidator(_require_order),
]
"""The smallest and the largest difference that the user expects in the first comparison of an arm.

In most designs, this is the comparison with the baseline. For the accuracy, 0.01 is one percentage point.
"""
