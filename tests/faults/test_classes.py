"""Classes of unequal size: guessing never passes for training, and every class counts."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from ablate.data import emnist, sources
from ablate.data.datasets import DATASETS, find_dataset
from ablate.data.loading import Dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.cohort import Cohort
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import EVALUATION_BATCH, LoopTrainer
from ablate.engines.predictions import count_correct, measure
from ablate.errors import DataError
from ablate.records.columns import OPTIONAL_COLUMNS, TABLES
from ablate.records.tables import read_table, write_table
from ablate.report import writer
from ablate.report.cautions import list_cautions
from ablate.report.conditions import list_conditions
from ablate.report.evidence import Evidence, gather
from ablate.report.glossary import list_terms
from ablate.stats.chance import compute_chance_ceiling, describe_majority
from ablate.stats.verdicts import Verdict
from ablate.study import study_file
from tests.report.test_writer import environment, write_folder

pytestmark = pytest.mark.usefixtures("undrawn")

CPU = torch.device("cpu")
RARE = (178, 12)


def make_evidence(
    path: Path,
    small,
    accuracies: dict[str, list[float]],
    balanced: float,
    counts: Sequence[int] | None = RARE,
) -> Evidence:
    """Make a report folder with two classes of these numbers of test images, and read it."""
    data = environment([])["data"] | {"dataset": "rare", "test_images": 190, "classes": ["healthy", "ill"], "chance": 178 / 190}  # fmt: skip
    if counts is not None:
        data |= {"train_images_by_class": list(counts), "test_images_by_class": list(counts)}
    folder = write_folder(path / "rare", study_file.dump(small()), accuracies, data=data)
    runs = read_table("runs", folder / "tables" / "runs.csv")
    runs["test_balanced_accuracy"] = runs["test_accuracy"].notna().map({True: balanced, False: None})
    write_table(
        runs if counts else runs.drop(columns="test_balanced_accuracy"), folder / "tables" / "runs.csv"
    )
    return gather(folder)


def test_a_network_that_always_predicts_the_large_class_has_not_trained(tmp_path: Path, small) -> None:
    """178 and 12 images gave the sentence "guessing reaches up to 105.7 %".

    - https://github.com/keras-team/keras/issues/10292: a network predicted one class for everything, and its
      accuracy of 82 % looked like learning. Mended.
    - https://github.com/keras-team/keras/issues/14141: with 4 % of one class, no accuracy told whether the
      network knew this class at all. Mended.
    - https://github.com/ljw-struggle/Bioinfor-DeepATT/issues/1: the accuracy stayed at 98 %, and all
      predictions were 0. Mended.
    - https://github.com/pycaret/pycaret/issues/1601: models were compared with no constant guess beside them.
      Mended.
    """
    share = 178 / 190
    evidence = make_evidence(tmp_path, small, {"baseline": [share] * 3, "pooling=max": [share] * 3}, 0.5)
    assert evidence.tables["comparisons"]["verdict"].tolist() == [Verdict.NOT_TRAINED]
    assert evidence.ceiling == 179 / 190
    (told,) = (line for line in list_conditions(evidence) if line.startswith("Data:"))
    assert (
        "12 (ill) to 178 (healthy) images. A network that always predicts “healthy” has the accuracy 93.7%"
        in told
    )
    (warned,) = (line for line in list_cautions(evidence) if "unequal" in line)
    assert "right on 93.7% of the test images" in warned
    assert "has the accuracy 93.7% (balanced accuracy 50.0%)" in warned
    assert warned.endswith("Guessing has the balanced accuracy 50.0%.")


def test_a_network_that_knows_the_rare_class_has_trained(tmp_path: Path, small) -> None:
    evidence = make_evidence(
        tmp_path, small, {"baseline": [0.99, 0.995, 0.985], "pooling=max": [0.99, 0.98, 0.995]}, 0.97
    )
    assert evidence.tables["comparisons"]["verdict"].tolist() == [Verdict.INCONCLUSIVE]
    assert not [line for line in list_cautions(evidence) if "unequal" in line]
    assert evidence.tables["arms"]["test_balanced_accuracy_mean"].tolist() == pytest.approx([0.97, 0.97])
    assert "balanced accuracy" in dict(list_terms(evidence))
    folder = tmp_path / "rare"
    writer.write(folder)
    assert "| balanced accuracy |" in (folder / "report.md").read_text()
    assert "<th>balanced accuracy</th>" in (folder / "report.html").read_text()


def test_a_folder_of_an_older_version_has_no_class_counts_and_is_still_reported(
    tmp_path: Path, small
) -> None:
    accuracies = {"baseline": [0.99, 0.995, 0.985], "pooling=max": [0.99, 0.98, 0.995]}
    evidence = make_evidence(tmp_path, small, accuracies, 0.9, counts=None)
    assert evidence.ceiling == pytest.approx(0.98978, abs=1e-5)
    assert evidence.tables["arms"]["test_balanced_accuracy_mean"].isna().all()
    writer.write(tmp_path / "rare")
    assert "balanced accuracy" not in (tmp_path / "rare" / "report.md").read_text()
    header = (tmp_path / "rare" / "tables" / "arms.csv").read_text().splitlines()[0]
    absent = set(OPTIONAL_COLUMNS)
    assert header.split(",") == [column for column in TABLES["arms"] if column not in absent]


def test_equal_classes_are_reported_without_a_second_accuracy(tmp_path: Path, small) -> None:
    accuracies = {"baseline": [0.99, 0.995, 0.985], "pooling=max": [0.99, 0.98, 0.995]}
    evidence = make_evidence(tmp_path, small, accuracies, 0.99, counts=(95, 95))
    assert "balanced accuracy" not in dict(list_terms(evidence))
    (told,) = (line for line in list_conditions(evidence) if line.startswith("Data:"))
    assert "Each class has 95 of them, so always predicting one class gives 50.0%." in told


@pytest.mark.parametrize("counts", [RARE, (95, 5), (5, 5), (1, 1), (1,), (990, 10), (300, 5, 5, 4, 0), (50, 30, 20)], ids=str)  # fmt: skip
def test_guessing_reaches_the_majority_share_and_never_more_than_everything(counts: tuple[int, ...]) -> None:
    """The constant guess of the largest class counts among the guessers.

    - https://github.com/chengsoonong/crowdastro/issues/31: a guesser that drew classes by their frequency was
      the baseline, although the constant guess of one class was better. Right before.
    - https://github.com/scikit-learn/scikit-learn/issues/14625: the default guesser drew classes at random,
      which is weaker than the constant guess. Right before.
    - https://github.com/nilearn/nilearn/issues/2768: the constant guesser chose the first class, not the most
      frequent one. Right before.
    - https://github.com/scikit-learn/scikit-learn/issues/34889: chance with a single class led to a division
      by zero. Right before.
    """
    images = sum(counts)
    shuffled = counts[1:] + counts[:1]
    ceiling = compute_chance_ceiling(max(counts) / images, images, shuffled)
    assert max(counts) / images <= ceiling <= 1
    assert f"{max(counts) / images:.1%}" in describe_majority([f"class {n}" for n in shuffled], shuffled)


def predict(trainer: LoopTrainer | LanesTrainer, images: Tensor) -> Tensor:
    trainer.model.eval()
    with torch.no_grad():
        return trainer.model(images).argmax(1)


@pytest.fixture
def uneven(digits: Dataset) -> Dataset:
    """The digits with few test images of some classes, and none of class 9."""
    keep = (digits.test_labels != 9) & ((digits.test_labels < 5) | (torch.arange(360) % 4 == 0))
    return replace(digits, test_images=digits.test_images[keep], test_labels=digits.test_labels[keep])


def test_all_engines_count_every_class_and_a_class_without_images_does_not_count(
    uneven: Dataset, small
) -> None:
    """The reference is scikit-learn's balanced_accuracy_score, which leaves out classes without images.

    ablate had no balanced accuracy, so an accuracy over unequal classes stood alone.

    - https://github.com/Lightning-AI/torchmetrics/issues/295: a class without images made a perfect network
      look imperfect. Mended.
    - https://github.com/Lightning-AI/torchmetrics/issues/1664: with more declared classes, the same
      predictions scored less. Mended.
    - https://github.com/Lightning-AI/torchmetrics/issues/2418: an absent class was left out in one setting of
      the metric, and counted as zero in another. Mended.
    - https://github.com/alexgkendall/caffe-segnet/issues/38: a class without images gave the value NaN. Mended.
    - https://github.com/yjxiong/temporal-segment-networks/issues/92: the mean accuracy over classes was NaN,
      because some class had no images. Mended.
    - https://github.com/LCSL/GURLS/issues/31: a class without images counted as perfectly classified. Mended.
    - https://github.com/scikit-learn/scikit-learn/issues/26892: predictions of a class that has no images
      counted in one definition of the mean over classes, and not in the other. Mended.
    """
    run = Run(phase="confirm", arm=lay_out(small()).arms[0], setting={}, seed=0)
    loop = LoopTrainer(run, uneven, CPU)
    for batch in torch.arange(1280).repeat(3).split(64):
        loop.step(batch)
    guesses = predict(loop, uneven.test_images)
    assert (guesses == 9).any()
    trainers: list[LoopTrainer | LanesTrainer] = [loop]
    if reason_against(run, uneven, CPU) is None:
        trainers.append(LanesTrainer(run, uneven, CPU))
        trainers[-1].model.load_state_dict(loop.model.state_dict())
    for trainer in trainers:
        assert (trainer.predict(uneven.test_images).argmax(1) != guesses).sum() <= 1  # they round differently
    cohort = Cohort(run, uneven, examples=64, places=2)
    cohort.parameters[1] = torch.cat([parameter.detach().flatten() for parameter in loop.model.parameters()])
    everyone = torch.arange(len(uneven.test_labels)).expand(2, -1)
    scores = cohort.predict(uneven.test_images, everyone)
    assert scores.shape == (2, len(guesses), 10)
    assert (scores[1].argmax(1) != guesses).sum() <= 1
    measured = measure(loop.predict(uneven.test_images), uneven.test_labels, uneven.classes)
    right = guesses == uneven.test_labels
    assert measured.metrics["accuracy"] == int(right.sum()) / len(right)
    assert measured.by_class == {
        name: (int(right[uneven.test_labels == label].sum()), images)
        for label, (name, images) in enumerate(zip(uneven.classes, uneven.count_test_images(), strict=True))
        if images
    }
    assert len(measured.by_class) == 9
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        reference = balanced_accuracy_score(uneven.test_labels, guesses)
    assert measured.metrics["balanced_accuracy"] == pytest.approx(reference, abs=1e-15)


def test_a_smaller_last_batch_of_evaluation_counts_by_its_images(digits: Dataset, small) -> None:
    """The accuracy is the number of correct predictions divided by the number of images.

    - https://github.com/tflearn/tflearn/issues/75: the accuracies of batches were averaged, so the images of a
      smaller last batch counted more. Right before.
    - https://github.com/mitmul/chainer-cifar10/issues/1: the last batch was counted as a full one. Right before.
    - https://github.com/Nota-NetsPresso/netspresso-trainer/issues/360: the mean over batches took all batches
      as equally large. Right before.
    - https://github.com/microsoft/hi-ml/pull/671: the word accuracy silently came to mean the mean over
      classes. Right before.
    """
    run = Run(phase="confirm", arm=lay_out(small()).arms[0], setting={}, seed=0)
    trainer = LoopTrainer(run, digits, CPU)
    images, labels = digits.images[: EVALUATION_BATCH + 1], digits.labels[: EVALUATION_BATCH + 1]
    guesses = predict(trainer, images)
    labels = torch.where(torch.arange(len(labels)) == EVALUATION_BATCH, guesses, (guesses + 1) % 10)
    assert count_correct(trainer.predict(images), labels) == 1


def write_idx(path: Path, values: np.ndarray, *, compressed: bool = False) -> None:
    """Write an IDX file, as the archives of EMNIST hold it."""
    content = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if compressed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def draw_letters(images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw upright images: a 1 is a tall stroke, every other class an L that opens to the right."""
    pixels, labels = np.zeros((images, 28, 28), np.uint8), np.arange(images, dtype=np.uint8) % classes
    pixels[:, 4:24, 8:11] = 200
    pixels[labels != 1, 21:24, 8:20] = 200
    return pixels, labels


@pytest.fixture
def few_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in emnist.EMNIST:
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], train_images=94, test_images=47))


@pytest.mark.usefixtures("few_letters")
@pytest.mark.parametrize("name", sorted(emnist.EMNIST))
@pytest.mark.parametrize("stored", ["as in the archive", "turned upright by somebody"])
def test_emnist_is_upright_however_its_files_store_it(name: str, stored: str, tmp_path: Path) -> None:
    """The files are read here, and the digit 1, taller than wide, tells how the images lie.

    - https://github.com/pytorch/vision/issues/8783: the images of EMNIST are mirrored and lie on their side.
      Mended.
    - https://github.com/tensorflow/datasets/issues/812: the images of EMNIST are transposed. Mended.
    - https://github.com/pytorch/pytorch/issues/42012: digits of EMNIST look different from those of MNIST.
      Mended.
    - https://github.com/ksreenivasan/OOD_Federated_Learning/issues/1: lying digits of EMNIST were mixed with
      upright digits of another data set. Mended.
    - https://github.com/pytorch/vision/pull/2673: the labels of a split of EMNIST were one off from the names of
      the classes. Right before.
    """
    split, classes = emnist.EMNIST[name]
    upright = {}
    for half, images in (("train", 94), ("test", 47)):
        upright[half], labels = draw_letters(images, len(classes))
        pixels = upright[half].transpose(0, 2, 1) if stored == "as in the archive" else upright[half]
        raw = tmp_path / "EMNIST" / "raw"
        write_idx(raw / f"emnist-{split}-{half}-images-idx3-ubyte", pixels, compressed=half == "test")
        write_idx(raw / f"emnist-{split}-{half}-labels-idx1-ubyte", labels)
    dataset = find_dataset(name)
    assert sources.find_root(dataset, tmp_path, download=False) == tmp_path
    read = sources.read_images(dataset, tmp_path)
    assert torch.equal((read.images[:, 0] * 255).round().to(torch.uint8), torch.from_numpy(upright["train"]))
    assert torch.equal(
        (read.test_images[:, 0] * 255).round().to(torch.uint8), torch.from_numpy(upright["test"])
    )
    assert read.images.is_contiguous()
    assert read.classes[int(read.labels[11])] == classes[11 % len(classes)]
    assert (len(classes), classes[10:12], classes[-1]) in [(47, ("A", "B"), "t"), (10, (), "9")]


@pytest.mark.usefixtures("few_letters")
@pytest.mark.parametrize("broken", ["torn", "short", "no IDX"])
def test_a_broken_file_of_emnist_is_told_in_one_line(broken: str, tmp_path: Path) -> None:
    raw = tmp_path / "EMNIST" / "raw"
    for half, images in (("train", 94), ("test", 47)):
        pixels, labels = draw_letters(images - (broken == "short"), 10)
        write_idx(raw / f"emnist-digits-{half}-images-idx3-ubyte", pixels)
        write_idx(raw / f"emnist-digits-{half}-labels-idx1-ubyte", labels)
    path = raw / "emnist-digits-test-images-idx3-ubyte"
    path.write_bytes({"torn": path.read_bytes()[:-1], "short": path.read_bytes(), "no IDX": b"<!"}[broken])
    message = r"emnist-digits-t\w+-images-idx3-ubyte: (is no IDX file|has images).*: delete"
    with pytest.raises(DataError, match=message) as told:
        sources.read_images(find_dataset("emnist_digits"), tmp_path)
    assert "\n" not in str(told.value)


def test_runs_on_upright_emnist_are_not_taken_for_earlier_ones(
    small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_key(dataset: str) -> str:
        study = small(f"dataset={dataset}")
        return Run(phase="confirm", arm=lay_out(study).arms[0], setting={}, seed=0).key(study, "cpu")

    before = {name: make_key(name) for name in ("digits", "mnist", "emnist_digits", "emnist_balanced")}
    monkeypatch.setattr("ablate.data.datasets.PIXELS_VERSION", {})
    changed = {name for name, key in before.items() if make_key(name) != key}
    assert changed == {"emnist_digits", "emnist_balanced"}


def test_the_class_counts_stand_in_the_provenance(tmp_path: Path, small) -> None:
    evidence = make_evidence(tmp_path, small, {"baseline": [0.99] * 3, "pooling=max": [0.99] * 3}, 0.9)
    raw = json.loads(json.dumps(evidence.provenance.to_dict()))
    assert raw["data"]["test_images_by_class"] == [178, 12]
    older = make_evidence(tmp_path / "older", small, {"baseline": [0.99] * 3}, 0.9, counts=None)
    assert "test_images_by_class" not in older.provenance.to_dict()["data"]
