"""Check that the predictions of a study name its arms."""

from ablate.design.designs import Layout
from ablate.errors import StudyError, did_you_mean
from ablate.study.spec import StudySpec


def check_predictions(study: StudySpec, layout: Layout) -> None:
    """Check that every prediction is about an arm that is compared with the baseline.

    Raises:
        StudyError: a name is not that of such an arm. The message names the most similar arm.
    """
    baseline, *others = [arm.name for arm in layout.arms]
    for name in study.predicted:
        if name not in others:
            told = "the baseline itself has no difference" if name == baseline else did_you_mean(name, others)
            raise StudyError(f"{study.locate(f'predicted.{name}')}: no arm of this name: {told}")
