"""Render the explorer's page as one file, which contains test images and the networks themselves."""

from collections.abc import Sequence
from typing import Any

from ablate.errors import FolderError
from ablate.explore import answers, page, portable, saved_epochs
from ablate.explore.saved_questions import collect_answers
from ablate.explore.session import Session

MISTAKES = 4
"""The maximum number of test images of each kind of mistake in the file.

The kinds are images that the first arm classifies wrongly, and images that two arms classify differently. The
file also has the most typical image of each class.
"""
CLASSES = 50
"""The maximum number of classes of which the file has a test image."""


def render_saved_page(session: Session, arms: Sequence[str]) -> str:
    """Render the page for one or two arms as HTML.

    Raises:
        FolderError: the test images are not on this machine.
    """
    if not session.has_pictures:
        raise FolderError(f"--save: the test images of {session.study.dataset} are not on this machine")
    requests: list[tuple[str, dict[str, Any], int]] = [
        (f"class {label}", {"pick": "class", "label": label}, 1)
        for label in range(min(len(session.classes), CLASSES))
    ]
    requests.append(("confused 0", {"pick": "confused"}, MISTAKES))
    if len(arms) > 1:
        requests.append(("disagree 0", {"pick": "disagree"}, MISTAKES))
    pictures: dict[int, dict[str, Any]] = {}
    for kind, request, most in requests:
        valid = answers.PicturesRequest.model_validate({**request, "arms": list(arms)})
        for picture in answers.list_pictures(session, valid)[:most]:
            stored = pictures.setdefault(picture["index"], {**picture, "kinds": []})
            stored["kinds"].append(kind)
    networks = {arm: portable.pack_network(session.arms[arm], session.image_shape) for arm in arms}
    readings = {
        index: answers.read_image(session, answers.ReadRequest(image=index, arms=list(arms)))
        for index in pictures
    }
    for reading in readings.values():
        for arm, network in networks.items():
            if "uncovered" not in network:
                del reading[arm]["layers"]  # the page computes them
    overview = answers.describe_session(session, arms)
    overview["arms"] = [arm for arm in overview["arms"] if arm["name"] in arms]
    overview["saved"] = {
        **collect_answers(session, arms, pictures),
        "pictures": list(pictures.values()),
        "readings": readings,
        "networks": networks,
        "training": {
            arm: None if "uncovered" in network else saved_epochs.pack_epochs(session.arms[arm])
            for arm, network in networks.items()
        },
        "tested": session.test_images,
        "fields": {arm: answers.list_receptive_fields(session, arm) for arm in arms},
    }
    return page.render_as_one_file(overview)
