"""What a study will take, as a table."""

from dataclasses import asdict, dataclass
from html import escape

import pandas as pd

from ablate.api.notebooks import import_quietly
from ablate.api.study import Study
from ablate.cores import count_cores, describe_cores


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan:
    """What a study will take on this machine. Nothing has been trained."""

    arms: pd.DataFrame
    """One row for each arm: `arm`, `parameters`, `flops_per_example`, `examples_per_second` on one core, and
    `reason_for_loop`: why the torch loop trains the arm. None if a faster engine does."""
    runs: str
    """The number of runs, in words."""
    minutes: tuple[float, float]
    """The least and the most minutes that the study will take."""
    notes: tuple[str, ...]
    """Further sentences: combinations that cannot be built, engines, and the number of seeds."""
    warnings: tuple[str, ...]
    """What should be changed before the study is run, one sentence each."""
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
    """Try every arm of a study with real images, and estimate its runs and minutes. Trains nothing.

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
