"""The page's further questions: what matters in an image, what is confused, what excites a map, other seeds."""

import base64
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ablate.explore import questions
from ablate.explore.attribution import find_saliency, list_patches, occlude
from ablate.explore.excitation import rank_images
from ablate.explore.reading import Reader

pytestmark = pytest.mark.explore
ARMS = ["baseline", "pooling=max"]


def linear(weights: torch.Tensor) -> Reader:
    """A network of one dense layer, with two classes."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights[0].numel(), 2, bias=False)).eval()
    network[1].weight.data = weights.flatten(1).clone()
    return Reader(network, weights.shape[1:])


def ask(client: Any, path: str, **question: Any) -> Any:
    answer = client.post(path, json=question)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_patches_cover_every_row_and_end_at_the_edge() -> None:
    for length in (1, 8, 28, 30, 224):
        patches = list_patches(length)
        assert {row for patch in patches for row in patch} == set(range(length))
        assert patches[-1].stop == length
        assert len(patches) <= 15


def test_occlusion_finds_the_only_pixels_that_speak_for_a_class() -> None:
    weights = torch.zeros(2, 1, 28, 28)
    weights[1, 0, 4:8, 16:20] = 1.0
    image = torch.zeros(1, 28, 28)
    image[0, 4:8, 16:20] = 0.5
    heat = occlude(linear(weights), image, 1)
    assert divmod(int(heat.argmax()), 28)[0] in range(4, 8)
    assert divmod(int(heat.argmax()), 28)[1] in range(16, 20)
    assert heat[20:].abs().max() == 0
    assert torch.allclose(occlude(linear(weights), image, 0), -heat, atol=1e-6)


def test_saliency_of_a_linear_network_is_the_size_of_its_weights() -> None:
    weights = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    heat = find_saliency(linear(weights), torch.rand(3, 8, 8), 1)
    assert torch.equal(heat, weights[1].abs().amax(0))


def test_images_are_ranked_by_the_largest_value_of_the_map(session: Any) -> None:
    arm = session.arms["baseline"]
    images = torch.stack([arm.test_image(index) for index in range(40)])
    layers = [arm.reader.read(image).layers for image in images]
    ranked = rank_images(arm.reader, images, 0, 2)
    assert sorted(one.image for one in ranked) == list(range(40))
    assert [one.value for one in ranked] == sorted((one.value for one in ranked), reverse=True)
    for one in ranked:
        values = layers[one.image][0]
        assert one.value == pytest.approx(float(values[2].max()))
        assert values[one.place] == values[2].max()
    last = len(arm.reader.layers) - 1
    first = rank_images(arm.reader, images, last, 3)[0]
    assert first.value == pytest.approx(max(float(values[last][3]) for values in layers))
    assert first.place == (3,)


def test_the_answer_about_what_matters_is_about_the_predicted_or_the_chosen_class(
    client: Any, session: Any
) -> None:
    for method, compute in (("occlusion", occlude), ("saliency", find_saliency)):
        for label in (None, 4):
            told = ask(client, "/attribution", arms=["input_size=20"], image=3, method=method, label=label)
            arm = session.arms["input_size=20"]
            wanted = int(arm.answers[3].argmax()) if label is None else label
            assert told["input_size=20"]["label"] == wanted
            assert told["input_size=20"]["probability"] == pytest.approx(float(arm.answers[3, wanted]))
            heat = np.frombuffer(base64.b64decode(told["input_size=20"]["heat"]), "<f4")
            assert heat == pytest.approx(compute(arm.reader, arm.test_image(3), wanted).flatten().numpy())


def test_the_answer_about_what_matters_is_about_the_shown_epoch(client: Any, session: Any) -> None:
    arm, heats = session.arms["baseline"], []
    for epoch in (0, None):
        told = ask(
            client, "/attribution", arms=["baseline"], image=3, method="occlusion", label=4, epoch=epoch
        )
        heat = np.frombuffer(base64.b64decode(told["baseline"]["heat"]), "<f4")
        assert heat == pytest.approx(
            occlude(arm.find_reader(epoch), arm.test_image(3), 4).flatten().numpy(), abs=1e-6
        )
        heats.append(heat)
    assert np.abs(heats[0] - heats[1]).max() > 1e-3


def test_the_cells_of_the_confusion_matrix_open_their_images(client: Any, session: Any) -> None:
    told = ask(client, "/confusion", arm="baseline")
    guesses = session.arms["baseline"].answers.argmax(1)
    assert sum(count for *_, count in told["cells"]) == told["images"] == session.test_images
    assert told["right"] == int((guesses == session.labels).sum())
    label, guess, count = told["mistakes"][0]
    pictures = ask(client, "/cell", arm="baseline", label=label, guess=guess, arms=ARMS)
    cell = (session.labels == label) & (guesses == guess)
    assert count == int(cell.sum()) == max(count for *_, count in told["mistakes"])
    assert {picture["index"] for picture in pictures} <= set(cell.nonzero().flatten().tolist())
    assert len(pictures) == min(count, 24)


def test_a_study_of_many_classes_gets_its_mistakes_instead_of_a_matrix(
    client: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ask(client, "/confusion", arm="baseline")
    monkeypatch.setattr(questions, "WHOLE_MATRIX", 9)
    told = ask(client, "/confusion", arm="baseline")
    assert whole["cells"]
    assert told == {**whole, "cells": None}


def test_the_images_that_excite_a_map_are_of_the_class_and_framed(client: Any, session: Any) -> None:
    told = ask(client, "/exciting", arm="baseline", layer=0, map=1, label=7, arms=ARMS)
    assert told["searched"] == int((session.labels == 7).sum())
    assert {picture["label"] for picture in told["pictures"]} == {7}
    values = [picture["value"] for picture in told["pictures"]]
    assert values == sorted(values, reverse=True)
    rows, columns = told["pictures"][0]["field"].values()
    assert 0 <= rows[0] <= rows[1] < 28
    assert 0 <= columns[0] <= columns[1] < 28


def test_the_seeds_of_every_arm_say_what_their_runs_predicted(client: Any, session: Any, folder: Any) -> None:
    told = [ask(client, "/seeds", image=index) for index in range(session.test_images)]
    runs = pd.read_csv(folder.path / "tables" / "runs.csv")
    confirmed = runs[runs.phase == "confirm"].set_index(["arm", "seed"]).test_accuracy
    assert told[0]["missing"] == 0
    for arm, by_seed in told[0]["arms"].items():
        for seed in by_seed:
            right = sum(answer["arms"][arm][seed] == answer["label"] for answer in told)
            assert right / len(told) == pytest.approx(confirmed[arm, int(seed)])
    assert set(told[0]["arms"]) == set(session.arms)


@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("/attribution", {"arms": ARMS, "image": 0, "method": "guess"}),
        ("/attribution", {"arms": ARMS, "image": 0, "method": "occlusion", "label": 10}),
        ("/exciting", {"arm": "x", "layer": 0, "map": 0, "label": 0, "arms": ARMS}),
        ("/exciting", {"arm": "baseline", "layer": 99, "map": 0, "label": 0, "arms": ARMS}),
        ("/exciting", {"arm": "baseline", "layer": 0, "map": 6, "label": 0, "arms": ARMS}),
        ("/exciting", {"arm": "baseline", "layer": 0, "map": 0, "label": 10, "arms": ARMS}),
        ("/confusion", {"arm": "../baseline"}),
        ("/cell", {"arm": "baseline", "label": 0, "guess": 10, "arms": ARMS}),
        ("/cell", {"arm": "baseline", "label": 0, "guess": 1, "arms": ["x"]}),
        ("/seeds", {"image": 360}),
        ("/seeds", {"image": -1}),
    ],
)
def test_a_question_about_what_is_not_there_is_refused(client: Any, path: str, question: Any) -> None:
    refused = client.post(path, json=question)
    assert refused.status_code == 422
    assert list(refused.json()) == ["error"]
