"""Check that each prediction of a study is about an arm (variant of the network) of this study."""

from ablate.design.designs import Layout
from ablate.errors import StudyError, did_you_mean
from ablate.study.spec import StudySpec


def check_predictions(study: StudySpec, layout: Layout) -> None:
    """Check that every prediction is about an arm other than the baseline.

    Raises:
        StudyError: a prediction has the name of no such arm. The message suggests the most similar name.
    """
    baseline, *others = [arm.name for arm in layout.arms]
    for name in study.predicted:
        if name not in others:
            told = f"no arm of this name: {did_you_mean(name, others)}"
            if name == baseline:
                told = "the baseline cannot differ from itself: remove this prediction"
            raise StudyError(f"{study.locate(f'predicted.{name}')}: {told}")
