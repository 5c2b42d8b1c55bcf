"""The explorer's server: its answers are the networks' numbers, and invalid or foreign requests are refused."""

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ablate.errors import AblateError

pytestmark = pytest.mark.explore
BLANK = [[[0.0] * 28] * 28]
READ = {"image": BLANK, "arms": ["baseline"]}
UNIT = {"image": 0, "arm": "baseline", "layer": 0, "place": [0, 0, 0]}


def numbers(packed: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<f4")


def test_each_network_reads_a_drawing_at_its_own_image_size(client, session) -> None:
    drawing = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(1))
    arms = ["pooling=max", "input_size=20"]
    told = client.post("/read", json={"image": drawing.tolist(), "arms": arms}).json()
    assert list(told) == arms
    for name in arms:
        arm = session.arms[name]
        reading = arm.reader.read(arm.image(drawing))
        assert told[name]["probabilities"] == pytest.approx(reading.probabilities.tolist())
        for packed, values in zip(told[name]["layers"], reading.layers, strict=True):
            assert numbers(packed) == pytest.approx(values.flatten().numpy(), abs=1e-6)
    assert [len(numbers(told[name]["input"])) for name in arms] == [784, 400]


def test_a_test_image_is_the_one_that_was_scored(client, session, folder) -> None:
    arm = session.arms["input_size=20"]
    told = client.post("/read", json={"image": 5, "arms": ["input_size=20"]}).json()["input_size=20"]
    assert numbers(told["input"]) == pytest.approx(arm.test_image(5).flatten().numpy())
    runs = pd.read_csv(folder.path / "tables" / "runs.csv")
    recorded = runs[(runs.phase == "confirm") & (runs.arm == "input_size=20")].test_accuracy.item()
    labels = torch.tensor([session.label(index) for index in range(len(arm.answers))])
    assert (arm.answers.argmax(1) == labels).float().mean().item() == pytest.approx(recorded, abs=1.5 / 360)
    assert recorded > 0.5


def test_the_answer_about_a_unit_has_its_value_field_and_weights(client, session) -> None:
    told = client.post("/unit", json={**UNIT, "place": [2, 10, 11]}).json()
    arm = session.arms["baseline"]
    assert told["value"] == arm.reader.unit(arm.test_image(0), 0, (2, 10, 11)).value
    assert told["field"] == {"rows": [8, 12], "columns": [9, 13]}
    assert told["count"] == 25
    weights = arm.reader.network.get_submodule("conv1").weight[2].detach().flatten().numpy()
    assert numbers(told["weights"]) == pytest.approx(weights)
    assert told["sum"] + told["rest"] == pytest.approx(told["value"], abs=1e-6)


def test_pictures_are_of_the_class_confused_or_disagreed_about(client, session) -> None:
    ask = lambda **query: client.get("/pictures", params={"arm": ["baseline", "pooling=max"], **query}).json()  # noqa: E731
    of_class = ask(pick="class", label=3)
    assert {picture["label"] for picture in of_class} == {3}
    confused = ask(pick="confused")
    assert all(picture["guesses"]["baseline"] != picture["label"] for picture in confused)
    sure = [session.arms["baseline"].answers[picture["index"]].max().item() for picture in confused]
    assert sure == sorted(sure, reverse=True)
    for picture in ask(pick="disagree"):
        assert len(set(picture["guesses"].values())) == 2
    first = np.frombuffer(base64.b64decode(of_class[0]["pixels"]), np.uint8)
    assert first == pytest.approx(session.pixels(of_class[0]["index"]).flatten().numpy() * 255, abs=0.51)


def test_a_class_without_test_images_has_an_empty_list(
    client, session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "classes", [*session.classes, "eleven"])
    answer = client.get("/pictures", params={"pick": "class", "label": 10, "arm": "baseline"})
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_page_opens_on_a_disagreement_else_on_a_mistake_else_on_any_image(
    session, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = torch.tensor([session.label(index) for index in range(session.test_images)])
    right = torch.nn.functional.one_hot(labels, len(session.classes)).float()
    wrong = right.clone()
    wrong[7] = right[7].roll(1)
    one, other = (session.arms[name] for name in ("baseline", "pooling=max"))

    def opening(answers: torch.Tensor, others: torch.Tensor, *arms: str) -> str:
        monkeypatch.setitem(one.__dict__, "answers", answers)
        monkeypatch.setitem(other.__dict__, "answers", others)
        return session.choose_opening(arms)

    assert opening(right, wrong, "baseline", "pooling=max") == "disagree"
    assert [
        picture.index for picture in session.list_disagreements("baseline", "pooling=max", ["baseline"])
    ] == [7]
    assert opening(wrong, wrong, "baseline", "pooling=max") == "confused"
    assert opening(wrong, right, "baseline") == "confused"
    assert opening(right, right, "baseline", "pooling=max") == "class"


REFUSED = {
    "no JSON": (b"{", 400),
    "deep": (b"[" * 10_000, 400),
    "no object": (b"3", 422),
    "a wrong shape": (json.dumps({**READ, "image": [[[0.0] * 27] * 28]}).encode(), 422),
    "ragged": (json.dumps({**READ, "image": [[[0.0] * 28] * 27 + [[0.0]]]}).encode(), 422),
    "empty": (json.dumps({**READ, "image": []}).encode(), 422),
    "NaN": (json.dumps({**READ, "image": [[[math.nan] * 28] * 28]}).encode(), 422),
    "infinity": (json.dumps({**READ, "image": [[[math.inf] * 28] * 28]}).encode(), 422),
    "too bright": (json.dumps({**READ, "image": [[[1.5] * 28] * 28]}).encode(), 422),
    "text": (json.dumps({**READ, "image": "x"}).encode(), 422),
    "a boolean": (json.dumps({**READ, "image": True}).encode(), 422),
    "no such image": (json.dumps({**READ, "image": 360}).encode(), 422),
    "a negative image": (json.dumps({**READ, "image": -1}).encode(), 422),
    "an endless number": (b'{"image": ' + b"9" * 4_000 + b', "arms": ["baseline"]}', 422),
    "no such arm": (json.dumps({**READ, "arms": ["../x"]}).encode(), 422),
    "no arm": (json.dumps({**READ, "arms": []}).encode(), 422),
    "three arms": (json.dumps({**READ, "arms": ["baseline"] * 3}).encode(), 422),
    "an unknown key": (json.dumps({**READ, "path": "/etc/passwd"}).encode(), 422),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_post_is_a_clear_4xx_and_nothing_else(client, case: str) -> None:
    body, status = REFUSED[case]
    refused = client.post("/read", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == status, refused.text
    assert list(refused.json()) == ["error"]
    assert 0 < len(refused.json()["error"]) < 300


@pytest.mark.parametrize(
    "wrong",
    [
        {"layer": 99},
        {"layer": -1},
        {"place": [0, 0]},
        {"place": [6, 0, 0]},
        {"place": [0, 28, 0]},
        {"place": [0, -1, 0]},
        {"arm": "x"},
    ],
)
def test_a_unit_that_is_not_there_is_refused(client, wrong: dict[str, Any]) -> None:
    refused = client.post("/unit", json={**UNIT, **wrong})
    assert refused.status_code == 422
    assert refused.json()["error"]


def test_a_hundred_megabytes_are_refused_before_they_have_come(client) -> None:
    sent = 0

    def much() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"0" * 1_000_000

    refused = client.post("/read", content=much(), headers={"content-type": "application/json"})
    assert refused.status_code == 413


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"pick": "all"},
        {"pick": "class", "label": 10},
        {"pick": "class", "label": "x"},
        {"pick": "class", "what": 1},
    ],
)
def test_requests_for_unknown_kinds_of_pictures_are_refused(client, query: dict[str, Any]) -> None:
    assert client.get("/pictures", params={"arm": "baseline", **query}).status_code == 422
    assert client.get("/pictures", params={"pick": "disagree", "arm": "baseline"}).status_code == 422


def test_pages_of_other_origins_and_other_names_are_refused(client) -> None:
    assert client.post("/read", json=READ).status_code == 200
    assert client.post("/read", json=READ, headers={"origin": "http://127.0.0.1:8050"}).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:8051"):
        refused = client.post("/read", json=READ, headers={"origin": origin})
        assert refused.status_code == 403, origin
    # A proxy changes the host. The browser or the proxy then says that the page is the server's own.
    proxied = {"origin": "https://lab.example"}
    for more in ({"sec-fetch-site": "same-origin"}, {"x-forwarded-host": "lab.example"}):
        assert client.post("/read", json=READ, headers={**proxied, **more}).status_code == 200
    for more in ({"sec-fetch-site": "same-site"}, {"x-forwarded-host": "evil.example"}):
        assert client.post("/read", json=READ, headers={**proxied, **more}).status_code == 403
    assert client.post("/read", json=READ, headers={"host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    plain = client.post("/read", content=json.dumps(READ), headers={"content-type": "text/plain"})
    assert plain.status_code == 415


def test_the_page_names_nothing_elsewhere_and_only_its_own_parts_are_served(client) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    for name in ("main", "three"):
        assert client.get(f"/page/{name}").headers["content-type"].startswith("text/javascript")
    for name in ("server", "../server.py", "..%2Fserver.py", "main.js"):
        assert client.get(f"/page/{name}").status_code == 404
    assert client.get("/read").status_code == 405


def test_arms_are_chosen_by_name_and_at_most_two(session) -> None:
    from ablate.explore.session import parse_arms

    assert parse_arms(session, None) == list(session.arms)[:2]
    assert parse_arms(session, "pooling=max") == ["pooling=max"]
    assert parse_arms(session, "pooling=max,baseline") == ["pooling=max", "baseline"]
    with pytest.raises(AblateError, match="did you mean 'pooling=max'"):
        parse_arms(session, "pooling=mix")
    with pytest.raises(AblateError, match="or two"):
        parse_arms(session, ",".join(session.arms))
