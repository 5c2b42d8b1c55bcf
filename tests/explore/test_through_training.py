"""The explorer plays the training: networks, accuracies and kernels after every epoch, served and saved."""

import base64
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from ablate.errors import FolderError
from ablate.records.folder import ReportFolder
from tests.explore.browsing import Page

pytestmark = pytest.mark.explore
EPOCHS = 8
ARMS = ["baseline", "pooling=max"]


def numbers(packed: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<f4")


def kept(folder: ReportFolder, slug: str) -> list[dict[str, torch.Tensor]]:
    return torch.load(folder.locate_epoch_weights(slug), weights_only=True)


def test_a_reading_after_an_epoch_is_that_of_the_kept_weights(client, session, folder) -> None:
    arm = session.arms["baseline"]
    image = arm.test_image(3)
    for epoch in (0, 3):
        told = client.post("/read", json={"image": 3, "arms": ["baseline"], "epoch": epoch}).json()
        weights = kept(folder, "baseline")[epoch]
        network = arm.find_reader(epoch).network
        assert all(torch.equal(network.state_dict()[name], values) for name, values in weights.items())
        expected = network(image[None])[0].softmax(0).tolist()
        assert told["baseline"]["probabilities"] == pytest.approx(expected)
    last, late, plain = (
        client.post("/read", json={"image": 3, "arms": ["baseline"], **more}).json()
        for more in ({"epoch": EPOCHS}, {"epoch": EPOCHS + 5}, {})
    )
    assert last == late == plain
    unit = {"image": 3, "arm": "baseline", "layer": 0, "place": [1, 2, 3], "epoch": 3}
    assert (
        client.post("/unit", json=unit).json()["value"] == arm.find_reader(3).unit(image, 0, (1, 2, 3)).value
    )


def test_the_accuracies_are_those_of_the_table_and_of_the_test_images(client, session, folder) -> None:
    runs = pd.read_csv(folder.path / "tables" / "runs.csv").set_index("arm")
    for arm in ARMS:
        told = client.post("/accuracy", json={"arm": arm, "epoch": EPOCHS}).json()["accuracy"]
        assert told == pytest.approx(runs.test_accuracy[arm], abs=1.5 / 360)
        validation = session.arms[arm].epochs.validation
        assert validation[0] is None
        assert validation[-1] == pytest.approx(runs.validation_accuracy[arm])
    start = client.post("/accuracy", json={"arm": "baseline", "epoch": 0}).json()["accuracy"]
    assert start < 0.4 < told


def test_kernels_are_the_weights_of_the_first_layer(client, session, folder) -> None:
    told = client.post("/kernels", json={"arms": ARMS, "epoch": 2}).json()
    assert list(told) == ARMS
    for arm, slug in zip(ARMS, ("baseline", "pooling-max"), strict=True):
        weights = kept(folder, slug)[2]["conv1.weight"]
        assert told[arm]["shape"] == list(weights.shape)
        assert numbers(told[arm]["weights"]) == pytest.approx(weights.flatten().numpy())


@pytest.mark.parametrize(
    "query",
    [
        {"arm": "baseline", "epoch": -1},
        {"arm": "baseline", "epoch": "one"},
        {"arm": "unknown", "epoch": 1},
        {"arm": "baseline"},
    ],
)
def test_impossible_epochs_and_arms_are_refused(client, query: dict[str, Any]) -> None:
    assert client.post("/accuracy", json=query).status_code == 422


def test_weights_of_another_network_are_refused(session, folder) -> None:
    from ablate.explore.epochs import EpochNetworks

    weights = kept(folder, "pooling-max")
    with pytest.raises(FolderError, match="do not end with the weights of its checkpoint"):
        EpochNetworks(session.arms["baseline"].reader, weights, [None] * len(weights))


def test_a_damaged_file_leaves_the_end_of_training(folder, extra, tmp_path: Path) -> None:
    from ablate.explore import session as sessions

    file = folder.locate_epoch_weights("baseline")
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    told: list[str] = []
    try:
        opened = sessions.open_session(folder.path, data_dir=None, tell=told.append)
    finally:
        file.write_bytes(content)
    assert opened.arms["baseline"].epochs is None
    assert opened.arms["pooling=max"].epochs is not None
    assert "baseline: checkpoints/epochs/baseline.pt is damaged" in told[0]


def test_a_saved_page_leaves_out_epochs_that_do_not_fit(session, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.explore import saved_epochs

    arm = session.arms["baseline"]
    whole = saved_epochs.pack_epochs(arm)
    assert whole["epochs"] == list(range(EPOCHS + 1))
    assert sorted(whole["tensors"]) == list(range(EPOCHS))
    assert whole["accuracies"] == [arm.compute_accuracy(epoch) for epoch in range(EPOCHS + 1)]
    monkeypatch.setattr(saved_epochs, "MOST_BYTES", 1_000_000)  # an epoch takes 165 or 330 kB
    thinned = saved_epochs.pack_epochs(arm)
    step = thinned["epochs"][1]
    assert step > 1
    assert thinned["epochs"] == [*range(0, EPOCHS, step), EPOCHS]
    monkeypatch.setattr(saved_epochs, "MOST_BYTES", 1_000)
    assert saved_epochs.pack_epochs(arm) is None


def move_to(page: Page, epoch: int) -> None:
    before = page.answered
    page.driver.execute_script(
        "const [slider, epoch] = arguments; slider.value = epoch; slider.dispatchEvent(new Event('input'));",
        page.one("#training input"),
        epoch,
    )
    page.settle(before)


def read_probabilities(page: Page) -> dict[str, list[float]]:
    return page.driver.execute_async_script("""
        const [done] = arguments;
        import("state").then(({ state }) => done(Object.fromEntries(state.chosen.map((arm) => [arm, [...state.readings[arm].probabilities]]))));
    """)


def check_epochs(page: Page, session: Any, index: int) -> None:
    """Move the slider, and compare the page's numbers with those of the kept networks."""
    page.one("#show-flat").click()
    for epoch in (2, 0, EPOCHS):
        move_to(page, epoch)
        words = "before training" if epoch == 0 else f"after epoch {epoch} of {EPOCHS}"
        assert page.text("#training .epoch") == words
        found = read_probabilities(page)
        for arm in ARMS:
            explored = session.arms[arm]
            reading = explored.find_reader(epoch).read(explored.test_image(index))
            assert found[arm] == pytest.approx(reading.probabilities.tolist(), abs=2e-3)
            accuracy = f"{explored.compute_accuracy(epoch):.2%}"
            page.wait(lambda: accuracy in page.text("#training table"))  # noqa: B023
        assert words in page.one("#training input").get_attribute("aria-valuetext")


def test_the_slider_shows_the_networks_of_each_epoch(driver: Any, address: str, session: Any) -> None:
    page = Page(driver, address)
    page.wait(lambda: page.answered)
    index = int(page.one('#pictures [aria-pressed="true"]').get_attribute("data-index"))
    check_epochs(page, session, index)
    move_to(page, EPOCHS - 1)
    page.one("#training button").click()  # plays the last epoch, and stops there
    page.wait(lambda: page.text("#training .epoch") == f"after epoch {EPOCHS} of {EPOCHS}")
    page.wait(lambda: page.text("#training button") == "Play")
    page.choose("#arm-b", "none")
    page.wait(lambda: len(page.all("#training tr")) == 2)


def test_with_reduced_motion_the_button_shows_one_more_epoch(driver: Any, address: str) -> None:
    reduced = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": reduced})
    try:
        page = Page(driver, address)
        page.wait(lambda: page.answered)
        assert page.text("#training button") == "Next epoch"
        before = page.answered
        page.one("#training button").click()
        page.settle(before)
        assert page.text("#training .epoch") == "before training"
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_saved_page_plays_the_training_without_a_server(driver: Any, session: Any, tmp_path: Path) -> None:
    from ablate.explore import saved

    file = tmp_path / "page.html"
    file.write_text(saved.render_saved_page(session, ARMS))
    assert file.stat().st_size < 8_000_000
    page = Page(driver, file.as_uri())
    page.wait(lambda: page.answered)
    index = int(page.one('#pictures [aria-pressed="true"]').get_attribute("data-index"))
    check_epochs(page, session, index)
    assert "test accuracy by epoch" in page.text("#training")


def test_kernels_have_numbers_on_hover_and_in_a_table(driver: Any, address: str, folder: Any) -> None:
    from selenium.webdriver import ActionChains

    page = Page(driver, address)
    page.wait(lambda: page.answered)
    move_to(page, 1)
    canvas = page.one('[data-kernels="pooling=max"]')
    # The sheet has a border of one square. So the square at row 1 and column 1 is the first weight.
    side = canvas.size["width"] / int(canvas.get_attribute("width"))
    half = [-canvas.size[way] / 2 + 1.5 * side for way in ("width", "height")]
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(driver).move_to_element_with_offset(canvas, *map(round, half)).perform()
    weights = kept(folder, "pooling-max")[1]["conv1.weight"]
    assert page.text("#tip").startswith("kernel 0, row 0, column 0: ")
    assert parse_last(page.text("#tip")) == pytest.approx(weights[0, 0, 0, 0].item(), abs=6e-4)
    page.one("#kernels summary").click()
    tables = page.wait(lambda: page.all("#kernels table"))
    rows = tables[1].text.splitlines()
    assert len(rows) == 2 + 6 * 5
    assert parse_last(rows[-1]) == pytest.approx(weights[5, 0, 4, 4].item(), abs=6e-4)


def parse_last(text: str) -> float:
    """The number at the end of a text of the page."""
    return float(text.rpartition(" ")[2].replace("−", "-"))


def test_a_hovered_square_and_a_table_show_the_numbers_of_both_networks(
    driver: Any, address: str, session: Any
) -> None:
    from selenium.webdriver import ActionChains

    page = Page(driver, address)
    page.wait(lambda: page.answered)
    index = int(page.one('#pictures [aria-pressed="true"]').get_attribute("data-index"))
    page.one("#show-flat").click()
    canvas = page.all("#flat canvas")[2]  # conv1 of the first network
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(driver).move_to_element_with_offset(
        canvas, 20 - canvas.size["width"] // 2, 20 - canvas.size["height"] // 2
    ).perform()
    told = page.wait(lambda: page.text("#tip")).splitlines()
    assert told[0].startswith("conv1, map 0, row ")
    row, column = (int(word) for word in told[0].replace(",", "").split() if word.isdigit() and word != "0")
    for line, arm in zip(told[1:], ARMS, strict=False):
        explored = session.arms[arm]
        value = explored.reader.read(explored.test_image(index)).layers[0][0, row, column].item()
        assert line.startswith(f"{explored.title}: ")
        assert parse_last(line) == pytest.approx(value, abs=6e-4)
    page.one("#numbers summary").click()
    page.choose('#numbers [aria-label="Layer of the table"]', "dense3 10")
    table = page.wait(lambda: page.all("#numbers table"))[0].text.splitlines()
    logits = [
        explored.reader.read(explored.test_image(index)).layers[-1]
        for explored in map(session.arms.get, ARMS)
    ]
    for line, one, other in zip(table[2:], *logits, strict=True):
        shown = [float(word.replace("−", "-")) for word in line.split()[1:]]
        assert shown == pytest.approx([one.item(), other.item(), (one - other).item()], abs=6e-4)


def test_the_first_screen_has_names_with_values_numbers_on_its_bars_and_room_for_the_layers(
    driver: Any, address: str, session: Any
) -> None:
    driver.set_window_size(1200, 1000)
    page = Page(driver, address)
    page.wait(lambda: page.answered)
    title = session.arms["baseline"].title
    assert title == "baseline (input_size=null, pooling=avg)"
    assert title in page.text("#seen")
    assert title in page.text("#answers")
    assert page.one("#stack").size["width"] > 0.7 * driver.execute_script("return innerWidth")
    readings = {arm: session.arms[arm] for arm in ARMS}
    index = int(page.one('#pictures [aria-pressed="true"]').get_attribute("data-index"))
    largest = max(
        cast(float, arm.reader.read(arm.test_image(index)).layers[0].abs().max().item())
        for arm in readings.values()
    )
    bar = page.text('#layers .scale[data-of="conv1"]')
    assert bar.split() == [f"−{largest:.3f}", f"+{largest:.3f}"]
