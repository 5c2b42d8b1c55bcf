"""The explorer's page as one file: test images and what the networks make of them inside."""

from collections.abc import Sequence
from typing import Any

from ablate.errors import FolderError
from ablate.explore import answers, page
from ablate.explore.session import Session

OF_A_KIND = 4
"""So many images of each kind of mistake are kept; of each class, the most typical."""


def written(session: Session, chosen: Sequence[str]) -> str:
    """The page of the chosen arms, one or two.

    Raises:
        FolderError: the test images are not on this machine.
    """
    if not session.has_pictures:
        raise FolderError(f"--save: the test images of {session.study.dataset} are not on this machine")
    wishes = [
        (f"class {label}", {"pick": "class", "label": label}, 1) for label in range(len(session.classes))
    ]
    wishes += [("confused 0", {"pick": "confused"}, OF_A_KIND)]
    wishes += [("disagree 0", {"pick": "disagree"}, OF_A_KIND)] * (len(chosen) > 1)
    pictures: dict[int, dict[str, Any]] = {}
    for kind, wish, most in wishes:
        asked = answers.PictureWish.model_validate({**wish, "arms": list(chosen)})
        for picture in answers.pictures(session, asked)[:most]:
            kept = pictures.setdefault(picture["index"], {**picture, "kinds": []})
            kept["kinds"].append(kind)
    readings = {
        index: answers.read(session, answers.ReadWish(image=index, arms=list(chosen))) for index in pictures
    }
    overview = answers.overview(session, chosen)
    overview["arms"] = [arm for arm in overview["arms"] if arm["name"] in chosen]
    overview["saved"] = {
        "pictures": list(pictures.values()),
        "readings": readings,
        "fields": {arm: answers.fields(session, arm) for arm in chosen},
    }
    return page.whole(overview)
