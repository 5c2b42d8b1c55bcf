"""Warn before training if a study has too few seeds to give some of its results."""

from collections.abc import Iterator

from ablate.design.designs import Layout
from ablate.experiment.contrasts import list_contrasts
from ablate.formatting import format_count, format_points
from ablate.stats import power
from ablate.study.spec import StudySpec


def warn_of_seeds(study: StudySpec, layout: Layout) -> Iterator[str]:
    """Yield one sentence for each result that needs more seeds than the study has."""
    declared = len(list_contrasts(study, layout)) or study.search.finalists
    decision = study.decision
    enough = power.count_seeds_for_significance(declared, decision.alpha)
    if study.most_seeds < enough:
        corrected = f" after Holm's correction for {declared} comparisons" if declared > 1 else ""
        yield (
            f"with {format_count(study.most_seeds, 'seed')}, the p-value of the exact sign-flip test cannot "
            f"be below {decision.alpha:g}{corrected}: this needs at least {enough} seeds"
        )
    typical = study.dataset.facts.typical_spread
    if typical is None or any(arm.model != "lenet" for arm in layout.arms):
        return  # it is not known how much accuracies of this model or data set vary over seeds
    spread = power.compute_resolvable_spread(study.most_seeds, decision.margin, decision.alpha)
    if spread < typical:
        needed = power.count_seeds_for_equivalence(decision.margin / typical, decision.alpha)
        yield (
            f"with {format_count(study.most_seeds, 'seed')}, the study can hardly show that a difference is "
            f"smaller than the margin of {format_points(decision.margin)}. For LeNets on {study.dataset}, "
            f"the difference of two arms varies by about {format_points(typical)} from seed to seed. So the "
            f"study needs about {needed} seeds"
        )
