"""The page's further questions about the networks, and the answers that the server sends as JSON."""

from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field

from ablate.explore.answers import (
    Epoch,
    ImageRequest,
    RequestError,
    StrictRequest,
    encode_floats,
    encode_picture,
    find_arm,
    find_arms,
    find_field,
    load_image,
)
from ablate.explore.attribution import find_saliency, occlude
from ablate.explore.excitation import rank_images
from ablate.explore.session import ExploredArm, Session

MOST_EXCITING = 12
"""The maximum number of images in the answer to which images excite a map."""
MOST_SEARCHED = 1_000
"""The maximum number of images of a class that are searched for those that excite a map."""
WHOLE_MATRIX = 20
"""Up to this number of classes, the page shows the whole confusion matrix. Otherwise it lists mistakes."""
MOST_MISTAKES = 100
"""The maximum number of kinds of mistakes in the answer."""

Label = Annotated[int, Field(ge=0)]
Arms = Annotated[list[str], Field(min_length=1, max_length=2)]


class AttributionRequest(ImageRequest):
    """A request to find the parts of an image that matter for a class.

    Without `label`, it is about the class that the network predicts.
    """

    arms: Arms
    method: Annotated[str, Field(pattern="^(occlusion|saliency)$")]
    label: Label | None = None
    epoch: Epoch = None


class ExcitingRequest(StrictRequest):
    """A request to find the test images of a class that excite a map of a layer most."""

    arm: str
    layer: Annotated[int, Field(ge=0)]
    map: Annotated[int, Field(ge=0)]
    label: Label
    arms: Arms
    """The arms whose predictions for the images are in the answer."""


class ConfusionRequest(StrictRequest):
    """A request to count how often a network predicts which class for which."""

    arm: str


class CellRequest(StrictRequest):
    """A request to list the test images of one class for which a network predicts one class."""

    arm: str
    label: Label
    guess: Label
    arms: Arms


class SeedsRequest(StrictRequest):
    """A request to say what the networks of all seeds predict for a test image."""

    image: Annotated[int, Field(ge=0)]


def attribute(session: Session, request: AttributionRequest) -> dict[str, Any]:
    """Compute, for each arm, how much each pixel of the image matters for a class.

    Raises:
        RequestError: there is no such arm, image or class.
    """
    if request.label is not None:
        _check_label(session, request.label)
    answer = {}
    for name, arm in find_arms(session, request.arms):
        image = load_image(session, arm, request.image)
        reader = arm.find_reader(request.epoch)
        probabilities = reader.probabilities(image[None])[0]
        label = int(probabilities.argmax()) if request.label is None else request.label
        compute = occlude if request.method == "occlusion" else find_saliency
        answer[name] = {
            "label": label,
            "probability": float(probabilities[label]),
            "heat": encode_floats(compute(reader, image, label)),
        }
    return answer


def find_exciting(session: Session, request: ExcitingRequest) -> dict[str, Any]:
    """Find the test images of a class that excite a map most.

    Raises:
        RequestError: there are no test images, or there is no such arm, layer, map or class.
    """
    arm = find_arm(session, request.arm)
    find_arms(session, request.arms)
    labels = _require_labels(session)
    _check_label(session, request.label)
    if request.layer >= len(arm.reader.layers):
        raise RequestError(f"layer {request.layer}: there are {len(arm.reader.layers)}, counted from 0")
    shape = arm.reader.layers[request.layer].shape
    maps = shape[0] if len(shape) == 3 else torch.Size(shape).numel()
    if request.map >= maps:
        raise RequestError(f"map {request.map}: there are {maps}, counted from 0")
    indices = (labels == request.label).nonzero().flatten()[:MOST_SEARCHED]
    if len(indices) == 0:
        return {"searched": 0, "pictures": []}
    images = torch.stack([arm.test_image(int(index)) for index in indices])
    ranked = rank_images(arm.reader, images, request.layer, request.map)[:MOST_EXCITING]
    pictures = session.list_pictures([int(indices[one.image]) for one in ranked], request.arms)
    fields = arm.reader.receptive_fields[request.layer]
    return {
        "searched": len(indices),
        "pictures": [
            {**encode_picture(session, picture), "value": one.value, "field": find_field(fields, one.place)}
            for picture, one in zip(pictures, ranked, strict=True)
        ],
    }


def count_confusions(session: Session, request: ConfusionRequest) -> dict[str, Any]:
    """Count a network's predictions for the test images, by true class and predicted class.

    Raises:
        RequestError: there are no test images, or there is no such arm.
    """
    arm = find_arm(session, request.arm)
    labels = _require_labels(session)
    return list_confusions(arm, labels, len(session.classes))


def list_confusions(arm: ExploredArm, labels: torch.Tensor, classes: int) -> dict[str, Any]:
    """Count predictions by true class and predicted class. A study of many classes gets only its mistakes."""
    guesses = arm.answers.argmax(1)
    cells, counts = (labels * classes + guesses).unique(return_counts=True)
    pairs = [
        (cell // classes, cell % classes, count)
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True)
    ]
    mistakes = sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: -pair[2])
    return {
        "images": len(labels),
        "right": int((labels == guesses).sum()),
        "cells": pairs if classes <= WHOLE_MATRIX else None,
        "mistakes": mistakes[:MOST_MISTAKES],
    }


def list_cell(session: Session, request: CellRequest) -> list[dict[str, Any]]:
    """List the test images of a cell of the confusion matrix. The most confident prediction comes first.

    Raises:
        RequestError: there are no test images, or there is no such arm or class.
    """
    find_arms(session, [request.arm, *request.arms])
    _require_labels(session)
    for label in (request.label, request.guess):
        _check_label(session, label)
    pictures = session.list_cell(request.arm, request.label, request.guess, request.arms)
    return [encode_picture(session, picture) for picture in pictures]


def compare_seeds(session: Session, request: SeedsRequest) -> dict[str, Any]:
    """Say what the networks of all seeds predict for a test image.

    Raises:
        RequestError: there is no such image.
    """
    if request.image >= session.test_images:
        raise RequestError(f"image: there are {session.test_images} test images, counted from 0")
    return {
        "label": session.label(request.image),
        "arms": session.seeds.list_guesses(request.image),
        "missing": session.seeds.missing,
    }


def _require_labels(session: Session) -> torch.Tensor:
    if not session.has_pictures:
        raise RequestError(f"the test images of {session.study.dataset} are not on this machine")
    return session.labels


def _check_label(session: Session, label: int) -> None:
    if label >= len(session.classes):
        raise RequestError(f"label {label}: there are {len(session.classes)} classes, counted from 0")


POSTS: dict[str, tuple[type[BaseModel], Any]] = {
    "/attribution": (AttributionRequest, attribute),
    "/exciting": (ExcitingRequest, find_exciting),
    "/confusion": (ConfusionRequest, count_confusions),
    "/cell": (CellRequest, list_cell),
    "/seeds": (SeedsRequest, compare_seeds),
}
"""The paths of these questions, the requests that they take and the functions that answer them."""
