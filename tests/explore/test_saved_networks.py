"""The networks inside a saved page: in chromium, each layer's output equals torch's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate import models
from ablate.models.layers import ACTIVATIONS
from tests.explore.browsing import Page

pytestmark = pytest.mark.explore
SHAPE = (1, 28, 28)
STEM = {"stem_stride": 1, "stem_padding": 3, "width": 0.05}
FAMILIES: dict[str, dict[str, Any]] = {
    "lenet": {
        "dilation": 2,
        "padding": 4,
        "stride": [2, 1],
        "head": "global_average",
        "batch_norm": True,
        "input_norm": True,
    },
    "mlp": {"hidden": [9, 7], "dropout": 0.5},
    "alexnet": STEM,
    "vgg": {"width": 0.05, "batch_norm": True, "blocks": 3},
    "nin": STEM,
    "googlenet": {**STEM, "pooling": "avg", "stages": [1, 2]},
}


def build(model: str, settings: Mapping[str, Any]) -> nn.Module:
    """A network in evaluation mode, whose batch norm has other statistics than at the start."""
    network = models.build(model, settings, input_shape=SHAPE, classes=10, init="xavier_uniform", seed=1)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (*norm.parameters(), norm.running_mean, norm.running_var):
                cast(Tensor, values).data.uniform_(0.3, 1.5)
    return network.eval()


def save_page(
    networks: Mapping[str, nn.Module],
    to: Path,
    input_size: Mapping[str, int] | None = None,
    classes: Sequence[str] = tuple("0123456789"),
) -> None:
    """Write a saved page without test images. `input_size` has the image size of networks that get another."""
    from ablate.explore import answers, page, portable
    from ablate.explore.reading import Reader
    from ablate.explore.session import ExploredArm

    sizes = dict(input_size or {})
    arms = {}
    for name, network in networks.items():
        run = cast(Any, SimpleNamespace(recipe=SimpleNamespace(input_size=sizes.get(name))))
        shape = (1, sizes[name], sizes[name]) if name in sizes else SHAPE
        arms[name] = ExploredArm(run, Reader(network, shape), None, title=name)
    overview = {
        "study": "s", "question": "?", "classes": classes, "shape": SHAPE, "centred": False,
        "pictures": False, "opening": None, "mostMaps": 64, "chosen": list(arms)[:2],
        "arms": [
            {"name": name, "title": name, "training": None, "shape": arm.reader.image_shape, "layers": [vars(layer) for layer in arm.reader.layers]}
            for name, arm in arms.items()
        ],
        "saved": {
            "pictures": [], "readings": {}, "tested": 0, "training": {},
            "fields": {name: answers.list_receptive_fields(cast(Any, SimpleNamespace(arms=arms)), name) for name in arms},
            "networks": {name: portable.pack_network(arm, SHAPE) for name, arm in arms.items()},
        },
    }  # fmt: skip
    to.write_text(page.render_as_one_file(overview))


def read_in_page(page: Page, arm: str, image: Tensor) -> dict[str, Any]:
    """The page's outputs for an image: those of all layers, and the probabilities."""
    return page.driver.execute_async_script(
        """
        const [arm, image, done] = arguments;
        const tell = ({ layers, probabilities }) => done({ layers: layers.map((values) => [...values]), probabilities });
        import("state").then(({ answers }) => answers.read([arm], image)).then((found) => tell(found[arm]), (error) => done({ error: error.message }));
        """,
        arm,
        image.tolist(),
    )


def assert_like_torch(
    page: Page, arm: str, network: nn.Module, image: Tensor, own: Tensor | None = None
) -> None:
    """The page's outputs of all layers for a drawing equal torch's. `own` is the drawing as the network gets it."""
    from ablate.explore.reading import Reader

    given = image if own is None else own
    found, reading = read_in_page(page, arm, image), Reader(network, given.shape).read(given)
    assert len(found["layers"]) == len(reading.layers)
    for values, expected in zip(found["layers"], reading.layers, strict=True):
        np.testing.assert_allclose(values, expected.flatten().numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(found["probabilities"], reading.probabilities.numpy(), atol=1e-4)


def assert_units_like_torch(page: Page, arm: str, network: nn.Module, image: Tensor) -> None:
    """The page explains a unit of each layer as the server does, for the image that it has read last."""
    from ablate.explore.reading import Reader

    reader = Reader(network, image.shape)
    places = [[size // 3 for size in layer.shape] for layer in reader.layers]
    found = page.driver.execute_async_script(
        """
        const [arm, places, done] = arguments;
        import("state").then(({ answers }) => Promise.all(places.map((place, layer) => answers.unit(arm, null, layer, place))))
          .then((units) => done(units.map((unit) => ({ ...unit, inputs: [...unit.inputs], weights: [...unit.weights] }))));
        """,
        arm,
        places,
    )
    for number, (place, answer) in enumerate(zip(places, found, strict=True)):
        unit = reader.unit(image, number, place).inputs
        span = [None if ends is None else list(ends) for ends in (unit.rows, unit.columns)]
        assert [answer["channels"], answer["rows"], answer["columns"]] == [list(unit.channels), *span], number
        assert (answer["shape"], answer["weighted"]) == (list(unit.values.shape), unit.weighted)
        np.testing.assert_allclose(answer["inputs"], unit.values.flatten().numpy(), atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(answer["weights"], unit.weights.flatten().numpy(), atol=1e-4, rtol=1e-4)
        assert answer["rest"] == pytest.approx(unit.rest, abs=1e-3), reader.layers[number]


@pytest.mark.thorough
def test_every_family_computes_torchs_numbers_in_the_page(driver: Any, extra: None, tmp_path: Path) -> None:
    assert set(FAMILIES) == set(models.MODELS)
    networks = {name: build(name, settings) for name, settings in FAMILIES.items()}
    save_page(networks, tmp_path / "page.html")
    page = Page(driver, (tmp_path / "page.html").as_uri())
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    for name, network in networks.items():
        assert_like_torch(page, name, network, image)


class Residual(nn.Module):
    """A user's network, with functions between its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 4, 4, padding="same")
        self.two = nn.Conv2d(
            4, 6, (3, 2), groups=2, stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=False
        )
        self.three = nn.Conv2d(4, 4, 3, padding=1)
        self.ceil = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.mean = nn.AvgPool2d(2, 3, padding=1, ceil_mode=True)
        self.wide = nn.MaxPool2d(2, 1, dilation=2)
        self.odd = nn.AdaptiveAvgPool2d((3, 2))
        self.high = nn.AdaptiveMaxPool2d(2)
        self.slope = nn.PReLU(6)
        self.out = nn.Linear(6 * (6 + 4), 10)

    def forward(self, x: Tensor) -> Tensor:
        """Use each module once."""
        x = functional.relu(self.one(x))
        x = functional.max_pool2d(x + torch.tanh(self.three(x)), 2, 1)
        x = self.wide(self.mean(self.ceil(self.slope(self.two(x)))))
        x = torch.cat([self.odd(x).flatten(1), self.high(x).flatten(1)], 1)
        return self.out(x.view(x.size(0), -1))


def build_activations() -> nn.Module:
    """All activations of the registry, side by side in the way of Inception, and one more of each with options."""
    from ablate.models.googlenet import Inception

    more: dict[str, nn.Module] = {
        "gelu_tanh": nn.GELU(approximate="tanh"), "steep": nn.Softplus(beta=3, threshold=1), "elu2": nn.ELU(0.5),
        "leaky2": nn.LeakyReLU(0.3), "relu6": nn.ReLU6(),
    }  # fmt: skip
    kinds = {name: make() for name, make in ACTIVATIONS.items()} | more
    spread = nn.Sequential(nn.Conv2d(1, 2, 5, stride=4), nn.BatchNorm2d(2), Inception(kinds))
    return nn.Sequential(*spread, nn.Flatten(), nn.Linear(36 * 2 * len(kinds), 10)).eval()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_other_layers_options_and_sizes_compute_torchs_numbers(
    driver: Any, extra: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ablate.data.loading import resize_images
    from ablate.explore import portable

    torch.manual_seed(3)
    spread = build_activations()
    spread[0].weight.data *= 20  # so that the activations see numbers from about -10 to 10
    small = models.build("mlp", {}, input_shape=(1, 20, 20), classes=10, init="default", seed=1).eval()
    large = models.build("mlp", {}, input_shape=(1, 40, 40), classes=10, init="default", seed=1).eval()
    kinks = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.LeakyReLU(), nn.ELU(0.5), nn.Linear(28 * 28, 10)).eval()
    networks = {
        "residual": Residual().eval(),
        "activations": spread,
        "kinks": kinks,
        "small": small,
        "large": large,
    }
    save_page(networks, tmp_path / "page.html", {"small": 20, "large": 40})
    page = Page(driver, (tmp_path / "page.html").as_uri())
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    for name in ("residual", "activations"):
        assert_like_torch(page, name, networks[name], image)
        assert_units_like_torch(page, name, networks[name], image)
    assert_like_torch(page, "kinks", kinks, torch.zeros(SHAPE))
    assert_units_like_torch(page, "kinks", kinks, torch.zeros(SHAPE))
    for name, size in (("small", 20), ("large", 40)):
        assert_like_torch(page, name, networks[name], image, resize_images(image[None], size)[0])

    # Rounded weights, and a layer that the page does not have.
    monkeypatch.setattr(portable, "EXACT_NUMBERS", 0)
    monkeypatch.setattr(portable, "guesses_alike_in_half", lambda *_: True)
    odd = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Flatten(), nn.Linear(2 * 26 * 26, 10)
    ).eval()
    save_page({"small": small, "odd": odd}, tmp_path / "page.html", {"small": 20})
    page = Page(driver, (tmp_path / "page.html").as_uri())
    assert "odd is not in this page: the page cannot compute 1 (GroupNorm)." in page.text("#about")
    assert not page.one("#clear").is_displayed()
    page.choose("#arm-b", "none")
    assert "The weights of small are rounded to half precision" in page.text("#about")
    assert page.one("#clear").is_displayed()
    for layer in small.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.half().float()
    assert_like_torch(page, "small", small, image, resize_images(image[None], 20)[0])


def test_weights_are_rounded_only_if_no_guess_changes(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.explore import portable

    arm = session.arms["baseline"]
    assert not portable.pack_network(arm, session.image_shape)["half"]
    monkeypatch.setattr(portable, "EXACT_NUMBERS", 0)
    half = arm.answers.clone()
    monkeypatch.setattr(arm, "compute_answers", lambda reader: half)
    packed = portable.pack_network(arm, session.image_shape)
    assert packed["half"]
    assert "half" in packed["operations"][0]["weight"]
    half[5] = half[5].roll(1)
    assert not portable.pack_network(arm, session.image_shape)["half"]
    monkeypatch.setattr(portable, "MOST_NUMBERS", 10)
    assert "61,706 parameters" in portable.pack_network(arm, session.image_shape)["uncovered"]


def test_a_saved_page_has_a_limited_number_of_test_images(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablate.explore import page, saved

    monkeypatch.setattr(saved, "CLASSES", 2)
    monkeypatch.setattr(page, "render_as_one_file", lambda overview: overview)
    content = cast(Any, saved.render_saved_page(session, ["baseline"]))["saved"]
    kinds = [kind for picture in content["pictures"] for kind in picture["kinds"]]
    assert sorted(set(kinds)) == ["class 0", "class 1", "confused 0"]
    assert len(kinds) == 2 + min(saved.MISTAKES, len(session.list_mistakes("baseline", ["baseline"])))
    assert all(
        set(reading["baseline"]) == {"input", "probabilities"} for reading in content["readings"].values()
    )
