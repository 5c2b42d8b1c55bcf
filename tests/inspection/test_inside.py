"""Views of trained networks: confusions, feature maps and filters agree with the networks, of any class."""

import io
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ablate import models
from ablate.cli import activations
from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Arm, Run
from ablate.errors import AblateError, FolderError
from ablate.figures import panels, registry
from ablate.figures.inspection_registry import list_inspection
from ablate.inspection.confusion import Score, score_network, tabulate_confusions
from ablate.inspection.inputs import choose_classes, parse_classes, pick_typical_image
from ablate.inspection.network_views import view_network
from ablate.inspection.networks import reopen_network
from ablate.inspection.tracing import find_maps, list_layer_names, trace_network
from ablate.records import views
from ablate.records.folder import ReportFolder
from ablate.records.views import ConfusedPair, Filters, Layer, View, Views
from ablate.report import writer
from ablate.report.evidence import gather
from ablate.study import study_file
from tests.commands import leave_undrawn
from tests.conftest import SMALL
from tests.cpu import CPU
from tests.experiment.test_conduct import Stub, conduct
from tests.report.test_writer import Page, write_folder

CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker")


class WithCheckpoints(Stub):
    """Runs of the stub take no time, but leave a checkpoint. The network with batch norm is trained briefly."""

    def outcomes(self, runs):
        for outcome in super().outcomes(runs):
            run = outcome.run
            kept = run.phase == "confirm" and run.seed == 0
            yield replace(outcome, checkpoint=checkpoint(taught(run)) if kept else None)


def network(run: Run, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> nn.Module:
    return models.build(
        run.arm.model, run.keywords, input_shape=shape, classes=classes, init="default", seed=0
    )


def taught(run: Run) -> nn.Module:
    made = network(run)
    if run.keywords.get("batch_norm"):
        digits = loading.load(find_dataset("digits"), None, CPU)
        optimizer = torch.optim.Adam(made.parameters(), 0.003)
        for batch in torch.arange(640).split(64):
            optimizer.zero_grad()
            F.cross_entropy(made(digits.images[batch]), digits.labels[batch]).backward()
            optimizer.step()
    return made


def kept(path: Path, arm: int) -> nn.Module:
    """The network of an arm with the weights of its checkpoint, in evaluation mode."""
    run = Run(phase="confirm", arm=lay_out(gather(path).study).arms[arm], setting={}, seed=0)
    made = network(run)
    made.load_state_dict(torch.load(path / "checkpoints" / f"{run.arm.slug}.pt", weights_only=True))
    return made.eval()


def checkpoint(trained: nn.Module) -> bytes:
    stream = io.BytesIO()
    torch.save(trained.state_dict(), stream)
    return stream.getvalue()


ARMS = "arms: {lenet: {}, max $x: {pooling: max, activation: relu, batch_norm: true}, mlp: {model: mlp}}"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of three arms with views. One arm has no convolutions."""
    parent = tmp_path_factory.mktemp("looked")
    file = parent / "small.yaml"
    file.write_text(SMALL.replace("factors: {pooling: [avg, max]}", ARMS))
    spec = study_file.read(file, ["tuning.trials=0", "timing.blocks=0"])
    return conduct(spec, parent / "small", WithCheckpoints())[1].path


@pytest.fixture
def looked(once: Path, tmp_path: Path) -> Path:
    """A copy of that folder, which a test may change."""
    return Path(shutil.copytree(once, tmp_path / "looked"))


def write_undrawn(path: Path) -> None:
    """Write a report without figures, for a test of other things than the report's own figures."""
    with pytest.MonkeyPatch.context() as patched:
        leave_undrawn(patched.setattr)
        writer.write(path)


def seen_in(path: Path) -> Views:
    found = views.read(path / views.NAME)
    assert found is not None
    return found


@pytest.mark.thorough
def test_the_confusions_of_every_arm_add_up_to_the_test_images_and_their_accuracy(
    looked: Path, digits: Dataset
) -> None:
    table = pd.read_csv(looked / "tables" / "confusion.csv")
    assert table.groupby("arm")["images"].sum().to_dict() == {"lenet": 360, "max $x": 360, "mlp": 360}
    by_class = table.groupby(["arm", "label"])["images"].sum().unstack()
    assert (by_class == digits.test_labels.bincount().numpy()).all(axis=None)
    with torch.inference_mode():
        guesses = kept(looked, 1)(digits.test_images).argmax(1)
    of_arm = table[table["arm"] == "max $x"]
    right = of_arm.loc[of_arm["label"] == of_arm["guess"], "images"].sum()
    assert right == (guesses == digits.test_labels).sum()


def test_the_pairs_confused_most_come_first_with_images_that_were_so_confused(
    looked: Path, digits: Dataset
) -> None:
    view = seen_in(looked).arms[1]
    table = pd.read_csv(looked / "tables" / "confusion.csv", dtype={"label": str, "guess": str})
    wrong = table[(table["arm"] == "max $x") & (table["label"] != table["guess"])]
    assert [pair.images for pair in view.confused] == sorted(wrong["images"], reverse=True)[:4]
    assert len({pair.guess for pair in view.confused}) > 1
    for pair in view.confused:
        given = torch.from_numpy(pair.examples).float() / 255
        of_class = digits.test_images[digits.test_labels == pair.label]
        with torch.inference_mode():
            guesses = kept(looked, 1)(of_class).argmax(1)
        for image in given:
            # The view rounds pixels, so the network is asked about the image that was rounded.
            distances = (of_class - image).abs().amax((1, 2, 3))
            assert distances.min() < 1 / 255
            assert guesses[distances.argmin()] == pair.guess


def test_the_kept_maps_are_those_of_a_forward_pass_by_hand(looked: Path, digits: Dataset) -> None:
    found = seen_in(looked)
    layers = dict(kept(looked, 1).named_children())
    images = torch.stack([pick_typical_image(digits, label) for label in found.inputs])
    with torch.inference_mode():
        response = layers["conv1"](images)
        first = torch.relu(layers["norm1"](response))
        second = torch.relu(layers["norm2"](layers["conv2"](F.max_pool2d(first, 2))))
    view = found.arms[1]
    assert [layer.module for layer in view.layers] == ["conv1, then act1", "conv2, then act2"]
    for layer, expected in zip(view.layers, (first, second), strict=True):
        np.testing.assert_allclose(layer.maps, expected.numpy(), rtol=1e-3, atol=1e-3)
    assert view.filters is not None
    np.testing.assert_allclose(view.filters.weights, layers["conv1"].weight.detach().numpy(), rtol=1e-3)
    np.testing.assert_allclose(view.filters.responses, response.numpy(), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(view.images / 255, images.numpy(), atol=1 / 255)


def test_a_network_without_convolutions_says_so_and_is_still_scored(looked: Path) -> None:
    found = seen_in(looked)
    mlp = found.arms[2]
    assert (mlp.layers, mlp.filters) == ((), None)
    assert mlp.confused
    kinds = {kind.name: kind for kind in list_inspection(found, gather(looked).tables)}
    assert "mlp has no convolution, and so no maps and no filters." in kinds["activations_1"].caption
    assert "convolution," not in kinds["confusion"].caption
    assert set(panels.tabulate_activations(found, "1")["arm"]) == {"lenet", "max $x"}
    assert set(panels.tabulate_confused_pairs(found)["arm"]) == {"lenet", "max $x", "mlp"}


def test_the_typical_image_of_a_class_is_nearest_to_the_mean(digits: Dataset) -> None:
    images = digits.test_images[digits.test_labels == 3]
    distances = [(image - images.mean(0)).norm().item() for image in images]
    assert pick_typical_image(digits, 3).equal(images[int(np.argmin(distances))])


def test_the_default_classes_are_pullover_and_coat_or_the_most_confused(digits: Dataset) -> None:
    fashion = replace(digits, name="fashion_mnist", classes=(*CLASSES, "bag", "ankle boot"))
    assert choose_classes(fashion, []) == (2, 4)
    confusion = torch.eye(10, dtype=torch.int64) * 30
    confusion[7, 2], confusion[2, 7], confusion[1, 3] = 2, 3, 4
    scored = Score(confusion=confusion, guesses=torch.zeros(0))
    assert choose_classes(digits, [scored, scored]) == (2, 7)
    assert choose_classes(digits, []) == (0, 1)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("pullover,coat", (2, 4)),
        ("PULL, Coat", (2, 4)),
        ("t-shirt/top", (0,)),
        ("shi,shi", (6,)),
        ("d", (3,)),
    ],
)
def test_a_class_is_found_by_its_name_or_a_unique_beginning(text: str, classes: tuple[int, ...]) -> None:
    assert parse_classes(text, CLASSES) == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("puloverr", "did you mean 'pullover'"),
        ("s", "fits sandal and shirt and sneaker"),
        ("coat,", "no such"),
    ],
)
def test_a_name_that_fits_no_class_or_several_is_refused(text: str, message: str) -> None:
    with pytest.raises(AblateError, match=message):
        parse_classes(text, CLASSES)


def test_a_name_that_others_begin_with_is_that_class() -> None:
    assert parse_classes("cat", ("cat", "cattle")) == (0,)


class Functional(nn.Module):
    """A user's network: it calls functions in place of modules, and uses one module twice."""

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 20, 3, padding=1)
        self.norm = nn.BatchNorm2d(20)
        self.relu = nn.ReLU(inplace=True)
        self.branches = nn.ModuleList([nn.Conv2d(20, 20, 1) for _ in range(3)])
        self.head = nn.Linear(20, 4)
        self.in_place = in_place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(images)), inplace=self.in_place)
        x = self.relu(self.branches[0](x)) + F.relu(self.branches[1](x)) + self.branches[2](x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.mark.parametrize("in_place", [False, True])
def test_activations_that_are_functions_or_in_place_are_found_all_the_same(in_place: bool) -> None:
    torch.manual_seed(0)
    own = Functional(in_place=in_place).eval()
    images = torch.rand(2, 3, 12, 9)
    with torch.inference_mode():
        response = own.stem(images)
        first = torch.relu(own.norm(response))
        second, third = own.branches[0](first), own.branches[1](first)
    calls = trace_network(own, images).calls
    assert list_layer_names(calls)[:6] == ["1", "2", "3", "4", "stem", "norm"]
    where, found = find_maps(calls, "1") or pytest.fail("no maps")
    assert where == "stem, then its activation function"
    torch.testing.assert_close(found, first)
    where, found = find_maps(calls, "2") or pytest.fail("no maps")
    assert where == "branches.0, then relu"
    torch.testing.assert_close(found, second.relu())
    where, found = find_maps(calls, "3") or pytest.fail("no maps")
    assert where == "branches.1"  # no module takes the output of its activation, because it goes into a sum
    torch.testing.assert_close(found, third)
    where, found = find_maps(calls, "stem") or pytest.fail("no maps")
    torch.testing.assert_close(found, response)
    assert find_maps(calls, "5") is find_maps(calls, "head") is find_maps(calls, "nowhere") is None
    assert not own.stem._forward_hooks
    assert not own.stem._forward_pre_hooks


@pytest.fixture
def colours(digits: Dataset) -> Dataset:
    """Colour images of 24×70 pixels in four classes with awkward names."""
    torch.manual_seed(0)
    return replace(
        digits,
        name="mine",
        classes=("a $b$ c", "<b>bold</b>", "a very long name of a class that nobody can read", "日本"),
        **{name: torch.rand(40, 3, 24, 70) for name in ("images", "test_images")},
        **{name: torch.arange(40) % 4 for name in ("labels", "test_labels")},
    )


def test_colour_images_of_any_size_are_shown_as_they_are(
    colours: Dataset, tmp_path: Path, small, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = Arm(name="mine", model="lenet", keywords={"channels": [40, 16]}, recipe=small().recipe, factors={})
    run = Run(phase="confirm", arm=arm, setting={}, seed=0)
    folder = ReportFolder(tmp_path)
    folder.write_checkpoint("mine", checkpoint(network(run, (3, 24, 70), 4)))
    scored = score_network(reopen_network(run, folder, colours), colours)
    assert scored.confusion.sum() == 40
    view = view_network(run, folder, colours, (0, 2), ["1", "2"], score=scored)
    assert view.images.shape == (2, 3, 24, 64)  # at most as many pixels a side as a figure shows
    assert view.layers[0].maps.shape == (2, 16, 24, 64)
    assert view.layers[0].channels == 40
    found = Views(classes=colours.classes, inputs=(0, 2), arms=(view,))
    drawn = panels.tabulate_activations(found, "1")
    assert drawn["image"][0].shape == (24, 64, 3)
    assert drawn["label"].tolist() == ["a $b$ c", "a very long name of a class that nobody can read"]
    weights = panels.tabulate_filters(found).iloc[0]
    assert weights["pixels"].shape == (8, 5, 5, 3)
    assert 0 <= weights["pixels"].min() <= weights["pixels"].max() <= 1
    tables = {"confusion": tabulate_confusions({"mine": scored}, colours.classes)}
    made = {one.kind.name for one in registry.draw_inspection(small(), tables, found)}
    assert made == {"confusion", "confused_pairs", "activations_1", "activations_2", "filters"}


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = str(made)

    def __reduce__(self):
        return os.mkdir, (self.made,)


def test_what_was_seen_comes_back_from_its_file_and_equal_views_give_equal_bytes(
    looked: Path, tmp_path: Path
) -> None:
    content = (looked / views.NAME).read_bytes()
    assert len(content) < 150_000
    assert views.to_bytes(seen_in(looked)) == content
    torn = tmp_path / views.NAME
    for damage in (content[:-300], b"", b"PK\x03\x04 nothing", content[:500] + b"x" + content[501:]):
        torn.write_bytes(damage)
        with pytest.raises(FolderError, match=r"inside\.npz: is damaged"):
            views.read(torn)
    np.savez(torn, index=np.array([Code(tmp_path / "has run")], dtype=object), allow_pickle=True)
    with pytest.raises(FolderError, match=r"inside\.npz: is damaged"):
        views.read(torn)
    assert not (tmp_path / "has run").exists()
    assert views.read(tmp_path / "nowhere.npz") is None


@pytest.mark.thorough
def test_a_layer_named_like_a_path_writes_nowhere_else(looked: Path) -> None:
    found = seen_in(looked)
    lenet = found.arms[0]
    evil = replace(lenet, layers=(replace(lenet.layers[0], asked="../../evil"),))
    (looked / views.NAME).write_bytes(views.to_bytes(replace(found, arms=(evil,))))
    writer.write(looked)
    assert (looked / "figures" / "activations_-evil.png").exists()
    assert not list(looked.parent.rglob("evil*"))


def test_a_finished_folder_is_not_looked_into_again_but_a_torn_or_new_one_is(
    looked: Path, small, tmp_path: Path
) -> None:
    before = (looked / views.NAME).stat().st_mtime_ns
    spec = gather(looked).study
    assert conduct(spec, looked, WithCheckpoints())[0] == []
    assert (looked / views.NAME).stat().st_mtime_ns == before
    (looked / views.NAME).write_bytes(b"torn")
    events, _ = conduct(spec, looked, WithCheckpoints())
    assert [(event.phase, event.done, event.arm) for event in events] == [("look", 1, "lenet"), ("look", 2, "max $x"), ("look", 3, "mlp")]  # fmt: skip
    assert len(seen_in(looked).arms) == 3


@pytest.mark.thorough
def test_a_diverged_arm_gets_a_remark_and_the_others_get_views(looked: Path) -> None:
    spec = gather(looked).study
    trained = network(Run(phase="confirm", arm=lay_out(spec).arms[0], setting={}, seed=0))
    with torch.no_grad():
        trained.get_parameter("conv1.bias")[0] = torch.nan
    ReportFolder(looked).write_checkpoint("lenet", checkpoint(trained))
    (looked / views.NAME).unlink()
    conduct(spec, looked, WithCheckpoints())
    found = seen_in(looked)
    assert found.arms[0].remark == (
        "lenet: checkpoints/lenet.pt holds weights that are not finite: its training diverged"
    )
    assert set(pd.read_csv(looked / "tables" / "confusion.csv")["arm"]) == {"max $x", "mlp"}
    writer.write(looked)
    assert "its training diverged." in Page((looked / "report.html").read_text()).text


@pytest.mark.thorough
def test_the_report_has_a_section_on_what_is_inside_and_is_made_again_without_torch(looked: Path) -> None:
    writer.write(looked)
    html = (looked / "report.html").read_text()
    page = Page(html)
    assert "Look inside" in page.text
    assert page.fetched == []
    for name in ("confusion", "confused_pairs", "activations_1", "activations_2", "filters"):
        assert (looked / "figures" / f"{name}.png").stat().st_size > 5_000
        assert f"figures/{name}.png)" in (looked / "report.md").read_text()
    assert 'alt="The pairs of classes confused most often"' in html
    kept = {path: path.read_bytes() for path in looked.rglob("*.*") if path.is_file()}
    writer.write(looked)
    assert {path: path.read_bytes() for path in looked.rglob("*.*") if path.is_file()} == kept


def test_a_folder_from_before_gets_the_report_that_it_always_got(tmp_path: Path, small) -> None:
    accuracies: Mapping[str, list[float | str]] = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.97, 0.96]}
    path = write_folder(tmp_path / "small", study_file.dump(small()), dict(accuracies))
    writer.write(path)
    for name in ("report.html", "report.md"):
        text = (path / name).read_text()
        assert "Look inside" not in text
        assert "confus" not in text
    assert not re.search(r"\n\n\n\n", (path / "report.md").read_text())


def pair(label: int, guess: int, images: int) -> ConfusedPair:
    return ConfusedPair(label=label, guess=guess, images=images, examples=np.zeros((2, 1, 4, 4), np.uint8))


def view(arm: str, low: float = 0.0, high: float = 1.0, channels: int = 3) -> View:
    ramp = np.linspace(low, high, 2 * channels * 16, dtype=np.float16).reshape(2, channels, 4, 4)
    return View(
        arm=arm,
        key=arm,
        images=np.full((2, 1, 4, 4), 255, np.uint8),
        confused=(pair(0, 1, 7), pair(1, 0, 3)),
        layers=(Layer(asked="1", module="conv", channels=channels, maps=ramp),),
        filters=Filters(module="conv", channels=channels, weights=ramp[0][:, None], responses=ramp),
    )


def test_every_confusion_has_its_share_of_the_class(small) -> None:
    rows = [("a", "x", "x", 3), ("a", "x", "y", 1), ("a", "y", "y", 2)]
    table = pd.DataFrame(rows, columns=["arm", "label", "guess", "images"])
    drawn = panels.tabulate_confusion(Views(classes=("y", "x")), {"confusion": table})
    assert drawn["share"].tolist() == [0.75, 0.25, 1.0]
    assert list(drawn["label"].cat.categories) == ["y", "x"]
    assert panels.tabulate_confusion(Views(classes=("y", "x")), {}).empty


def test_maps_of_an_arm_share_one_scale_that_is_even_around_zero_where_it_goes_below() -> None:
    found = Views(classes=("x", "y"), inputs=(1, 0), arms=(view("a"), view("b", low=-3.0)))
    drawn = panels.tabulate_activations(found, "1").groupby("arm")[["low", "high"]].agg(["min", "max"])
    assert drawn.loc["a"].tolist() == [0, 0, 1, 1]
    assert drawn.loc["b"].tolist() == [-3, -3, 3, 3]
    assert panels.tabulate_activations(found, "1")["label"].tolist() == ["y", "x", "y", "x"]
    assert panels.tabulate_activations(found, "2").empty


def test_no_more_arms_are_drawn_than_can_be_read_and_the_caption_says_so() -> None:
    found = Views(classes=("x", "y"), inputs=(0, 1), arms=tuple(view(arm) for arm in "abcdef"))
    for drawn in (
        panels.tabulate_activations(found, "1"),
        panels.tabulate_filters(found),
        panels.tabulate_confused_pairs(found),
    ):
        assert list(drawn["arm"].unique()) == list("abcd")
    assert all("the first 4 of 6 arms" in kind.caption for kind in list_inspection(found, {}))


def test_pictures_are_put_in_rows_with_gaps_of_nothing_between() -> None:
    whole = panels.join_pictures(np.ones((3, 2, 2)), columns=2)
    assert whole.shape == (5, 5)
    assert np.isnan(whole[2]).all()
    assert np.isnan(whole[:, 2]).all()
    assert np.isnan(whole[3:, 3:]).all()  # the empty place
    assert np.nansum(whole) == 12


def drawn_by_command(path: Path, **asked: str | None) -> Iterator[Path]:
    usual = {"arm": None, "inputs": None, "layers": "1,2", "data_dir": None}
    return activations.draw(path, **{**usual, **asked})  # type: ignore[arg-type]


def test_the_command_draws_chosen_classes_and_layers_beside_the_reports_own(looked: Path) -> None:
    write_undrawn(looked)
    written = list(drawn_by_command(looked, inputs="3,8", layers="2,conv1", arm="lenet"))
    stems = ["asked-activations_2-3-8-lenet", "asked-activations_conv1-3-8-lenet", "asked-filters-3-8-lenet"]
    assert [path.stem for path in written] == stems
    assert all(path.stat().st_size > 5_000 and path.with_suffix(".svg").exists() for path in written)
    write_undrawn(looked)
    assert all(path.exists() for path in written)


@pytest.mark.thorough
def test_the_command_looks_into_all_arms_at_the_reports_classes_unless_told(looked: Path) -> None:
    found = seen_in(looked)
    names = "-".join(found.classes[label] for label in found.inputs)
    written = [path.stem for path in drawn_by_command(looked)]
    assert written == [f"asked-{kind}-{names}" for kind in ("activations_1", "activations_2", "filters")]
    (looked / views.NAME).unlink()
    assert [path.stem for path in drawn_by_command(looked)] == written


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"arm": "lenett"}, "--arm lenett: did you mean 'lenet'"),
        ({"inputs": "11"}, "--inputs 11: no such class"),
        ({"layers": "1,conv3"}, "--layers conv3: no arm has this layer: did you mean 'conv2'"),
        ({"layers": "7"}, "--layers 7: no arm has this layer: known: 1, 2, conv1"),
        ({"arm": "mlp"}, "--layers 1: no layer of mlp has maps"),
    ],
)
def test_the_command_refuses_what_is_not_there(looked: Path, asked: dict[str, str], message: str) -> None:
    with pytest.raises(AblateError, match=re.escape(message)):
        list(drawn_by_command(looked, **asked))


def test_the_command_says_of_a_published_folder_that_it_holds_no_checkpoints() -> None:
    published = Path(__file__).parents[2] / "reports" / "published" / "nin_head"
    with pytest.raises(FolderError, match="holds no checkpoints"):
        list(drawn_by_command(published))


def test_the_command_tells_a_torn_checkpoint_in_one_line(looked: Path) -> None:
    (looked / "checkpoints" / "lenet.pt").write_bytes(b"torn")
    with pytest.raises(
        FolderError, match=r"lenet: checkpoints/lenet\.pt does not hold the weights of its network"
    ):
        list(drawn_by_command(looked, arm="lenet"))


@pytest.mark.thorough
def test_a_tuned_keyword_of_the_model_is_part_of_the_network_that_is_rebuilt(
    small, small_file: Path, tmp_path: Path
) -> None:
    ranges = "tuning: {trials: 2, kernel_size: {low: 3, high: 5}}"
    small_file.write_text(re.sub(r"tuning: .*", ranges, small_file.read_text()))

    class Prefers3(WithCheckpoints):
        def record(self, run):
            made = super().record(run)
            return replace(made, validation_accuracy=0.9) if run.setting["kernel_size"] == 3 else made

    _, folder = conduct(small("timing.blocks=0"), tmp_path / "tuned", Prefers3())
    chosen = pd.read_csv(folder.path / "tables" / "tuning.csv")["chosen"].tolist()
    seen = seen_in(folder.path).arms
    assert [view.filters.weights.shape[2] for view in seen if view.filters] == chosen == [3, 3]
    assert len(list(drawn_by_command(folder.path))) == 3
