"""The parts of a study file that say how much is searched and timed, and when a difference matters."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(_Part):
    """How many candidates `design: search` tries in total and per generation, and how many it confirms."""

    candidates: Annotated[int, Field(ge=2, le=10_000, strict=True)] = 48
    generation: Annotated[int, Field(ge=1, le=1000, strict=True)] = 8
    finalists: Annotated[int, Field(ge=1, le=20, strict=True)] = 4


class Decision(_Part):
    """The rule for a verdict: the smallest difference in accuracy that matters, and the error rate."""

    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05

    @model_validator(mode="before")
    @classmethod
    def _drop_metric(cls, raw: Any) -> Any:
        """Accept and drop the key `metric: accuracy`, which older study files contain."""
        if not isinstance(raw, Mapping) or "metric" not in raw:
            return raw
        if raw["metric"] != "accuracy":
            raise ValueError(f"metric: {raw['metric']!r} is not possible: every verdict is about accuracy")
        return {key: value for key, value in raw.items() if key != "metric"}


class Timing(_Part):
    """How throughput is measured. Each arm runs alone on the machine. `blocks: 0` turns timing off."""

    blocks: Annotated[int, Field(ge=0, le=1000, strict=True)] = 10
    block_seconds: Annotated[float, Field(gt=0, le=60)] = 0.4
