"""`ablate publish` copies a report folder without its large files. The copy has the same answer."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from ablate.cli.publishing import _copy_networks, publish
from ablate.errors import FolderError
from ablate.inspection.networks import TrainedNetworks
from ablate.report import writer
from tests.report.test_writer import write_small_folder


@pytest.fixture
def folder(tmp_path: Path, small) -> Path:
    """A report folder with two networks, and with files that a copy lacks."""
    made = write_small_folder(tmp_path / "mine" / "small", small())
    writer.write(made)
    for name in ("study.db", "predictions/baseline_0.npz", "checkpoints/epochs/baseline_1.pt"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"large")
    weights = {"layer.weight": torch.tensor([[1 / 3, 2.0]]), "layer.bias": torch.tensor([1 / 3])}
    for arm in ("baseline", "pooling-max"):
        torch.save(weights, made / "checkpoints" / f"{arm}.pt")
    return made


def test_the_copy_has_the_same_answer_without_the_large_files(folder: Path, tmp_path: Path) -> None:
    epochs = pd.read_csv(folder / "tables" / "epochs.csv")
    epochs["train_loss"] = epochs["train_loss"] + 1 / 3
    within = epochs.assign(epoch=epochs["epoch"] - 0.4)
    pd.concat([within, epochs]).to_csv(folder / "tables" / "epochs.csv", index=False)
    copy = publish(folder, tmp_path / "published")

    assert copy == tmp_path / "published" / "small"
    assert (copy / "report.md").read_bytes() == (folder / "report.md").read_bytes()
    for name in ("runs", "comparisons", "arms", "timing", "tuning"):
        assert (copy / "tables" / f"{name}.csv").read_bytes() == (
            folder / "tables" / f"{name}.csv"
        ).read_bytes()
    copied = pd.read_csv(copy / "tables" / "epochs.csv")
    assert len(copied) == len(epochs)
    assert copied["train_loss"].tolist() == pytest.approx(epochs["train_loss"].tolist(), rel=1e-3)
    assert copied["train_loss"].astype(str).str.len().max() <= len("0.1234")
    assert copied["validation_accuracy"].tolist() == epochs["validation_accuracy"].tolist()
    kept = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert not any(name.endswith((".db", ".npz", ".svg")) or "epochs/" in name for name in kept)
    assert {"checkpoints/baseline.pt", "checkpoints/pooling-max.pt", "checkpoints/README.md"} <= kept
    assert "left out" not in (copy / "checkpoints" / "README.md").read_text()
    state = torch.load(copy / "checkpoints" / "baseline.pt", weights_only=True)
    assert state["layer.weight"].dtype == torch.float16
    assert state["layer.bias"].dtype == torch.float32


def test_networks_that_do_not_fit_are_left_out_by_name(folder: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    torch.save({"weight": torch.rand(600, 600, generator=generator)}, folder / "checkpoints" / "baseline.pt")
    copy = publish(folder, tmp_path / "published") / "checkpoints"
    assert sorted(path.name for path in copy.iterdir()) == ["README.md", "pooling-max.pt"]
    assert "at most 250 kB of networks: baseline." in (copy / "README.md").read_text()


def test_the_baseline_and_the_most_accurate_arm_come_first(folder: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("baseline", "pooling-max", "zoom-low", "zoom-high"):
        weights = {"weight": torch.rand(230, 230, generator=generator)}  # about 107 kB in float16
        torch.save(weights, folder / "checkpoints" / f"{name}.pt")
    runs = pd.read_csv(folder / "tables" / "runs.csv")
    changed = runs[runs["arm"] == "pooling=max"]
    extra = [
        changed.assign(arm=f"zoom={name}", test_accuracy=value)
        for name, value in (("low", 0.1), ("high", 1.0))
    ]
    pd.concat([runs, *extra]).to_csv(folder / "tables" / "runs.csv", index=False)
    about = json.loads((folder / "environment.json").read_text())
    about["networks"] |= {f"zoom={name}": about["networks"]["pooling=max"] for name in ("low", "high")}
    (folder / "environment.json").write_text(json.dumps(about))
    _copy_networks(TrainedNetworks(folder), tmp_path / "copy")
    assert sorted(path.stem for path in (tmp_path / "copy").glob("*.pt")) == ["baseline", "zoom-high"]
    assert "of networks: pooling=max and zoom=low." in (tmp_path / "copy" / "README.md").read_text()


@pytest.mark.drawn
def test_the_page_of_a_copy_shows_the_pictures_beside_it(folder: Path, tmp_path: Path) -> None:
    copy = publish(folder, tmp_path / "published")
    page = (copy / "report.html").read_text()
    pictures = sorted(path.name for path in (copy / "figures").iterdir())
    assert pictures
    assert all(f'src="figures/{name}"' in page for name in pictures)
    assert "data:image/png" not in page
    before = {path: path.read_bytes() for path in copy.rglob("*.*") if path.is_file()}
    writer.write(copy)
    assert {path: path.read_bytes() for path in before} == before
    (copy / "checkpoints").mkdir(exist_ok=True)
    (copy / "checkpoints" / "stale.pt").write_bytes(b"old")
    publish(folder, tmp_path / "published")  # a second copy replaces the first
    assert {path: path.read_bytes() for path in copy.rglob("*.*") if path.is_file()} == before


def test_a_folder_is_not_copied_onto_itself_and_a_damaged_one_not_at_all(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(FolderError, match="choose another folder with --into"):
        publish(folder, folder.parent)
    other = tmp_path / "other" / "small"
    shutil.copytree(folder, other)
    with pytest.raises(FolderError, match="is not a copy by"):  # it has records
        publish(folder, other.parent)
    shutil.rmtree(folder / "tables")
    with pytest.raises(FolderError, match=r"runs\.csv: is missing"):
        publish(folder, tmp_path / "published")
    assert not (tmp_path / "published").exists()
