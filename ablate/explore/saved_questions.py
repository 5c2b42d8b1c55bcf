"""The answers to the page's further questions that a saved page contains."""

from collections.abc import Iterable, Sequence
from typing import Any

from ablate.explore.questions import SeedsRequest, compare_seeds, list_confusions
from ablate.explore.session import Session


def collect_answers(session: Session, arms: Sequence[str], pictures: Iterable[int]) -> dict[str, Any]:
    """Collect what the page cannot compute: the confusions of each arm, and the predictions of all seeds.

    `pictures` are the indices of the test images in the page.
    """
    classes = len(session.classes)
    return {
        "confusions": {arm: list_confusions(session.arms[arm], session.labels, classes) for arm in arms},
        "seeds": {index: compare_seeds(session, SeedsRequest(image=index)) for index in pictures},
    }
