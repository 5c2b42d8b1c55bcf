"""Optuna's samplers propose candidates, its evaluators say what they show."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import (
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import TrialState, create_trial

from ablate.records.run_records import Status
from ablate.search.candidates import Candidate, Tried, baseline, drawn
from ablate.seeds import derived_seed
from ablate.study.spec import Range, StudySpec, as_written

optuna.logging.set_verbosity(optuna.logging.WARNING)

DRAWS_PER_CANDIDATE = 20
"""So often a proposal that is not new or cannot be built is drawn anew; then the space counts as tried."""


def propose(study: StudySpec, tried: Sequence[Tried], generation: int, size: int) -> list[Candidate]:
    """The next generation: a function of the study and of what the generations before it came to.

    Multi-objective TPE over every factor and nuisance: validation accuracy up, FLOPs an example down.
    Fewer than `size` once the space holds nothing new; the baseline opens the first generation.
    """
    sampler = optuna.samplers.TPESampler(
        seed=derived_seed(generation, f"search {study.name}") % 2**32,
        n_startup_trials=study.search.generation,
        multivariate=True,
    )
    sampling = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for one in tried:
        if one.candidate.drawn is not None and one.record.validation_accuracy is not None:
            values = [one.record.validation_accuracy, float(one.candidate.flops_per_example)]
            told = {**one.candidate.drawn, "values": values}
            sampling.add_trial(create_trial(state=TrialState.COMPLETE, **told))
    found = [] if tried else [baseline(study)]
    known = [(one.candidate.arm.name, one.candidate.setting) for one in tried]
    for _ in range(DRAWS_PER_CANDIDATE * size):
        if len(found) == size:
            break
        trial = sampling.ask()
        candidate = drawn(study, _Drawing(trial))
        new = candidate is not None and (candidate.arm.name, candidate.setting) not in [
            *known,
            *((other.arm.name, other.setting) for other in found),
        ]
        if candidate is not None and new:
            given = {"params": trial.params, "distributions": trial.distributions}
            found.append(replace(candidate, drawn=given))
        # Told or not, the sampler's constant liar keeps the next draw away from this one; told as failed, a
        # point without a network would be forgotten and drawn for ever.
    return found


def importance(study: StudySpec, tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """How much of the spread of validation accuracy each factor and nuisance goes with, by two evaluators.

    PED-ANOVA looks at what the best tenth has in common (Watanabe et al., 2023), fANOVA at the whole range
    (Hutter et al., 2014). Shares of what one search happened to try: a screening, no test.
    """
    # What was stopped has the accuracy of an early epoch: beside final ones it would show who starts slowly.
    scored = [
        t for t in tried if t.record.status == Status.COMPLETE and t.record.validation_accuracy is not None
    ]
    values: list[dict[str, Any]] = [{**t.candidate.arm.factors, **t.candidate.setting} for t in scored]
    names = [
        name
        for name in [*study.factors, *study.tuning.ranges]
        if all(name in row for row in values) and len({as_written(row[name]) for row in values}) > 1
    ]
    if len(scored) < 2 * study.search.generation or not names:
        return []
    distributions: dict[str, BaseDistribution] = {}
    for name in names:
        given = [row[name] for row in values]
        if name in study.factors:
            distributions[name] = CategoricalDistribution(sorted({as_written(value) for value in given}))
        else:
            log = study.tuning.ranges[name][0].log
            distributions[name] = FloatDistribution(min(given), max(given), log=log)
    screening = optuna.create_study(direction="maximize")
    for one, row in zip(scored, values, strict=True):
        params = {n: as_written(row[n]) if n in study.factors else float(row[n]) for n in names}
        screening.add_trial(
            create_trial(value=one.record.validation_accuracy, params=params, distributions=distributions)
        )
    shares = {
        "ped_anova": get_param_importances(screening, evaluator=PedAnovaImportanceEvaluator()),
        "fanova": get_param_importances(screening, evaluator=FanovaImportanceEvaluator(seed=0)),
    }
    return [{"factor": name, **{by: float(share[name]) for by, share in shares.items()}} for name in names]


class _Drawing:
    """Optuna's trial as what draws a candidate."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def choice(self, name: str, labels: Sequence[str]) -> int:
        # Labels, for Optuna takes True, 1 and 1.0 for one; the choices in the name, for they may depend on
        # other factors and Optuna wants a name's choices to stay.
        return labels.index(self._trial.suggest_categorical(f"{name}: {' | '.join(labels)}", list(labels)))

    def number(self, name: str, span: Range) -> float:
        return self._trial.suggest_float(
            f"{name} {span.low:g} {span.high:g}", span.low, span.high, log=span.log
        )
