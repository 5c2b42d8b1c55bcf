"""A folder without checkpoints gets the same networks again, in small files."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from ablate.errors import FolderError
from ablate.execution.workers import ThisProcess
from ablate.experiment.retrain import ABOUT, retrain, shrink_checkpoint
from ablate.inspection.networks import TrainedNetworks
from ablate.records.folder import ReportFolder
from ablate.study import study_file
from tests.conftest import SMALL
from tests.experiment.test_conduct import conducting

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study on the digits. Its networks are of the first seed, 7."""
    path = tmp_path_factory.mktemp("trained")
    (path / "small.yaml").write_text(SMALL)
    spec = study_file.read(
        path / "small.yaml",
        ["seeds=1", "first_seed=7", "tuning.trials=0", "timing.blocks=0", "recipe.epochs=4"],
    )
    with conducting(spec, path / "small", lambda conditions, _: ThisProcess(conditions, 1)) as (
        conducted,
        made,
        _,
    ):
        list(conducted.run_phases())
        made.write_tables(conducted.make_tables())
        made.write_provenance(conducted.make_provenance())
    return made.path


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> ReportFolder:
    """A copy of the folder for one test."""
    return ReportFolder(shutil.copytree(trained, tmp_path / "small"))


def test_lost_networks_are_trained_again_to_the_same_weights(finished: ReportFolder) -> None:
    lost = {path.name: path.read_bytes() for path in (finished.path / "checkpoints").iterdir()}
    tables = {path.name: path.read_bytes() for path in (finished.path / "tables").iterdir()}
    for name in lost:
        (finished.path / "checkpoints" / name).unlink()
    made = list(retrain(finished.path, None))
    assert {f"{one.slug}.pt" for one in made} == set(lost)
    for one in made:
        assert one.accuracy == pytest.approx(one.recorded_accuracy, abs=1e-12)
        again = finished.locate_checkpoint(one.slug).read_bytes()
        assert again == one.checkpoint == shrink_checkpoint(lost[f"{one.slug}.pt"])
        assert f"| {one.arm} | {one.accuracy:.2%} |" in (finished.path / "checkpoints" / ABOUT).read_text()
    assert {path.name: path.read_bytes() for path in (finished.path / "tables").iterdir()} == tables
    assert list(retrain(finished.path, None)) == []  # nothing is missing any more


def test_a_small_checkpoint_has_half_the_bits_of_its_weights_and_all_of_its_biases(
    finished: ReportFolder,
) -> None:
    content = finished.locate_checkpoint("baseline").read_bytes()
    small = finished.path / "small.pt"
    small.write_bytes(shrink_checkpoint(content))
    assert len(small.read_bytes()) < 0.55 * len(content)
    whole = torch.load(finished.locate_checkpoint("baseline"), weights_only=True)
    for name, tensor in torch.load(small, weights_only=True).items():
        assert torch.equal(tensor.float(), whole[name].half().float() if tensor.ndim > 1 else whole[name])


def test_a_run_that_ends_otherwise_than_on_record_leaves_no_checkpoint(finished: ReportFolder) -> None:
    for path in (finished.path / "checkpoints").iterdir():
        path.unlink()
    runs = pd.read_csv(finished.path / "tables" / "runs.csv")
    runs["learning_rate"] = 1e30  # the value that tuning chose
    runs.to_csv(finished.path / "tables" / "runs.csv", index=False)
    with pytest.raises(FolderError, match=r"gave a test accuracy of .*, and .* is on record"):
        list(retrain(finished.path, None))
    assert list((finished.path / "checkpoints").iterdir()) == []


def test_published_networks_are_small_and_load() -> None:
    folders = sorted({path.parents[1] for path in PUBLISHED.glob("**/checkpoints/*.pt")})
    assert PUBLISHED / "lenet_pooling" in folders
    for folder in folders:
        networks = TrainedNetworks(folder)
        # `ablate publish` leaves large networks out, and names them.
        left_out = set(networks.arms) - set(networks.arms_with_checkpoint)
        told = (folder / "checkpoints" / "README.md").read_text()
        assert all(arm in told for arm in left_out)
        for arm in networks.arms_with_checkpoint:
            run = networks.rebuild_run(arm)
            networks.reopen(run)
            assert networks.folder.locate_checkpoint(run.arm.slug).stat().st_size <= MOST_BYTES
