"""The parts of a study file that say how much is searched and timed, and when a difference matters."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ablate.errors import did_you_mean
from ablate.metrics import METRICS


def _require_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"{name!r} is not known: {did_you_mean(name, list(METRICS))}")
    return name


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(_Part):
    """How many candidates `design: search` tries in total and per generation, and how many it confirms.

    A candidate is a combination of values. To confirm a candidate means to train it again on fresh seeds.
    """

    candidates: Annotated[int, Field(ge=2, le=10_000, strict=True)] = 48
    generation: Annotated[int, Field(ge=1, le=1000, strict=True)] = 8
    finalists: Annotated[int, Field(ge=1, le=20, strict=True)] = 4


class Decision(_Part):
    """The rule for a verdict: the metric, the smallest difference that matters (margin), and alpha.

    Alpha is the accepted probability of a false claim.
    """

    metric: Annotated[str, AfterValidator(_require_metric)] = "accuracy"
    margin: Annotated[float, Field(gt=0, lt=1)] = METRICS["accuracy"].margin
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05

    @model_validator(mode="before")
    @classmethod
    def _choose_margin(cls, raw: Any) -> Any:
        """If the study gives no margin, use the default margin of its metric."""
        if isinstance(raw, Mapping) and "margin" not in raw and raw.get("metric") in METRICS:
            return {**raw, "margin": METRICS[raw["metric"]].margin}
        return raw

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the metric is better."""
        return METRICS[self.metric].higher_is_better


class Timing(_Part):
    """How throughput is measured. Each arm trains alone on the machine. `blocks: 0` turns timing off."""

    blocks: Annotated[int, Field(ge=0, le=1000, strict=True)] = 10
    block_seconds: Annotated[float, Field(gt=0, le=60)] = 0.4
