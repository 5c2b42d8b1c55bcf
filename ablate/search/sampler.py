"""The sampler: Optuna proposes candidates and estimates the importance of each factor."""

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
from ablate.search.candidates import Candidate, TriedCandidate, draw_candidate, make_baseline
from ablate.seeds import derive_seed
from ablate.study.spec import Range, StudySpec, format_value

optuna.logging.set_verbosity(optuna.logging.WARNING)

DRAWS_PER_CANDIDATE = 20
"""The maximum number of draws for each candidate of a generation, on average.

A draw is dropped if the candidate is not new, or if its network cannot be built.
"""


def propose(study: StudySpec, tried: Sequence[TriedCandidate], generation: int, size: int) -> list[Candidate]:
    """Propose the candidates of the next generation.

    The candidates depend only on the study and on earlier generations. Optuna's TPE sampler proposes a value
    for every factor and every tuned parameter. The sampler maximises the validation accuracy and minimises
    the FLOPs per image. The baseline is the first candidate of the first generation. If the draws give too
    few new candidates, the generation has fewer than `size` candidates.
    """
    sampler = optuna.samplers.TPESampler(
        seed=derive_seed(generation, f"search {study.name}") % 2**32,
        n_startup_trials=study.search.generation,
        multivariate=True,
    )
    sampling = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for one in tried:
        if one.candidate.proposal is not None and one.record.validation_accuracy is not None:
            values = [one.record.validation_accuracy, float(one.candidate.flops_per_example)]
            told = {**one.candidate.proposal, "values": values}
            sampling.add_trial(create_trial(state=TrialState.COMPLETE, **told))
    found = [] if tried else [make_baseline(study)]
    known = [(one.candidate.arm.name, one.candidate.setting) for one in tried]
    for _ in range(DRAWS_PER_CANDIDATE * size):
        if len(found) == size:
            break
        trial = sampling.ask()
        candidate = draw_candidate(study, _OptunaDraw(trial))
        new = candidate is not None and (candidate.arm.name, candidate.setting) not in [
            *known,
            *((other.arm.name, other.setting) for other in found),
        ]
        if candidate is not None and new:
            given = {"params": trial.params, "distributions": trial.distributions}
            found.append(replace(candidate, proposal=given))
        # A dropped trial is left unfinished, because the sampler avoids the neighbourhood of unfinished
        # trials. If the trial were marked as failed, the sampler would forget the trial's point, and could
        # draw this point again and again.
    return found


def estimate_importance(study: StudySpec, tried: Sequence[TriedCandidate]) -> list[dict[str, Any]]:
    """Estimate how important each factor and each tuned parameter is for the validation accuracy.

    Two methods are used.

    PED-ANOVA (Watanabe et al., 2023) compares the best tenth of the candidates with the other candidates.
    fANOVA (Hutter et al., 2014) uses all candidates. Both estimates of importance depend on which candidates
    the search tried. So the estimates only suggest which factors to test.
    """
    # Stopped runs are left out. The last accuracy of a stopped run comes from an early epoch and cannot be
    # compared.
    scored = [
        t for t in tried if t.record.status == Status.COMPLETE and t.record.validation_accuracy is not None
    ]
    values: list[dict[str, Any]] = [{**t.candidate.arm.factors, **t.candidate.setting} for t in scored]
    names = [
        name
        for name in [*study.factors, *study.tuning.ranges]
        if all(name in row for row in values) and len({format_value(row[name]) for row in values}) > 1
    ]
    if len(scored) < 2 * study.search.generation or not names:
        return []
    distributions: dict[str, BaseDistribution] = {}
    for name in names:
        given = [row[name] for row in values]
        if name in study.factors:
            distributions[name] = CategoricalDistribution(sorted({format_value(value) for value in given}))
        else:
            log = study.tuning.ranges[name][0].log
            distributions[name] = FloatDistribution(min(given), max(given), log=log)
    screening = optuna.create_study(direction="maximize")
    for one, row in zip(scored, values, strict=True):
        params = {n: format_value(row[n]) if n in study.factors else float(row[n]) for n in names}
        screening.add_trial(
            create_trial(value=one.record.validation_accuracy, params=params, distributions=distributions)
        )
    shares = {
        "ped_anova": get_param_importances(screening, evaluator=PedAnovaImportanceEvaluator()),
        "fanova": get_param_importances(screening, evaluator=FanovaImportanceEvaluator(seed=0)),
    }
    return [{"factor": name, **{by: float(share[name]) for by, share in shares.items()}} for name in names]


class _OptunaDraw:
    """A `Draw` that takes its values from an Optuna trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def choice(self, name: str, labels: Sequence[str]) -> int:
        # The choices are strings, because Optuna does not distinguish True, 1 and 1.0. In Optuna, a parameter
        # must always have the same choices, but a factor's choices can depend on other factors. So the name
        # of the Optuna parameter contains the choices.
        return labels.index(self._trial.suggest_categorical(f"{name}: {' | '.join(labels)}", list(labels)))

    def number(self, name: str, span: Range) -> float:
        return self._trial.suggest_float(
            f"{name} {span.low:g} {span.high:g}", span.low, span.high, log=span.log
        )
