"""Estimate in Python what a study needs: its arms, runs and minutes, with warnings."""

from dataclasses import asdict, dataclass
from html import escape

import pandas as pd

from ablate.api.notebooks import import_quietly
from ablate.api.study import Study
from ablate.cores import count_cores, describe_cores


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan:
    """The runs and minutes that a study needs on this machine, estimated before the training."""

    arms: pd.DataFrame
    """A table with one row for each arm (each compared network), with its speed on one core.

    The columns are `arm`, `parameters`, `flops_per_example`, `examples_per_second` and `reason_for_loop`. The
    last column says why the torch loop trains the arm. The reason is None if a faster engine trains the arm.
    """
    runs: str
    """The number of runs, in words."""
    minutes: tuple[float, float]
    """The fewest and the most minutes that the study is expected to take."""
    notes: tuple[str, ...]
    """Sentences about combinations that cannot be built, about engines, and about the number of seeds."""
    warnings: tuple[str, ...]
    """Sentences that say what should be changed before the study is run."""
    minutes_in_words: str

    def __repr__(self) -> str:
        told = [self.arms.to_string(index=False), *self._sentences()]
        return "\n".join(told)

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{escape(sentence)}</p>" for sentence in self._sentences())
        return f"{self.arms.to_html(index=False, border=0)}{told}"

    def _sentences(self) -> list[str]:
        time = f"{self.runs}: {self.minutes_in_words} on this machine's {describe_cores()}"
        return [*self.notes, time, *(f"warning: {warning}" for warning in self.warnings)]


def plan(study: Study) -> Plan:
    """Train every arm for a few steps, and estimate the study's runs and minutes.

    Raises:
        AblateError: an arm cannot be trained, or the data cannot be read.
    """
    with import_quietly():
        from ablate.design.designs import lay_out
        from ablate.design.names import settle_names
        from ablate.experiment.outlook import foresee
        from ablate.torch_settings import keep_torch_settings

    study.provide_code()
    with keep_torch_settings():
        spec = settle_names(study.spec)
        outlook = foresee(spec, lay_out(spec), jobs=count_cores())
    priced = outlook.priced
    left_out = [f"left out: {name}: {reason}" for name, reason in outlook.left_out.items()]
    return Plan(
        arms=pd.DataFrame([asdict(arm) for arm in priced.arms]),
        runs=priced.runs_in_words,
        minutes=priced.minutes,
        minutes_in_words=priced.minutes_in_words,
        notes=(*left_out, *priced.engines_in_words, *outlook.expected_seeds),
        warnings=tuple(outlook.warnings),
    )
