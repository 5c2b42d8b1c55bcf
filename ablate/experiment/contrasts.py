"""List all contrasts of a study. They are known before anything trains."""

from ablate.design.designs import Layout
from ablate.stats.contrasts import Contrast, list_interactions, make_contrasts
from ablate.study.spec import StudySpec, format_value


def list_contrasts(study: StudySpec, layout: Layout) -> list[Contrast]:
    """List the comparisons of arms, and the interactions of a factorial."""
    contrasts = make_contrasts(layout.contrasts)
    if study.design == "factorial":
        import pandas as pd  # late, because this import takes a quarter of a second

        settings = pd.DataFrame({arm.name: arm.factors for arm in layout.arms}).T.map(format_value)
        contrasts += list_interactions(settings)
    return contrasts
