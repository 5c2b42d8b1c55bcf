"""List all contrasts (comparisons) of a study. A search has no contrasts before its finalists are chosen."""

from ablate.design.designs import Layout
from ablate.stats.contrasts import Contrast, list_interactions, make_contrasts
from ablate.study.spec import StudySpec, format_value


def list_contrasts(study: StudySpec, layout: Layout) -> list[Contrast]:
    """List a study's comparisons of arms and, for a factorial design, the interactions of its factors."""
    contrasts = make_contrasts(layout.contrasts)
    if study.design == "factorial":
        import pandas as pd  # imported only here, because the import takes a quarter of a second

        settings = pd.DataFrame({arm.name: arm.factors for arm in layout.arms}).T.map(format_value)
        contrasts += list_interactions(settings)
    return contrasts
