"""Warn before training if a study has too few seeds for some results."""

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
            f"{format_count(study.most_seeds, 'seed')} cannot bring the p-value of the exact sign-flip test "
            f"below {decision.alpha:g}{corrected}: that takes {enough} seeds"
        )
    typical = study.dataset.facts.typical_spread
    if typical is None or any(arm.model != "lenet" for arm in layout.arms):
        return  # for this data set or model, the standard deviation over seeds is not known
    spread = power.compute_resolvable_spread(study.most_seeds, decision.margin, decision.alpha)
    if spread < typical:
        needed = power.count_seeds_for_equivalence(decision.margin / typical, decision.alpha)
        yield (
            f"{format_count(study.most_seeds, 'seed')} cannot resolve the margin of "
            f"{format_points(decision.margin)}: between LeNets on {study.dataset}, differences vary by about "
            f"{format_points(typical)} from seed to seed. To show equivalence within the margin takes about "
            f"{needed} seeds"
        )
