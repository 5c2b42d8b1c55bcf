"""With `keep: epochs`, the folder has the weights of the first seed before training and after every epoch."""

from pathlib import Path

import pytest
import torch

from ablate.design.designs import lay_out
from ablate.engines.loop import build_initial_model
from ablate.execution.workers import ThisProcess
from ablate.experiment import kept_epochs
from ablate.experiment.events import Warned
from ablate.experiment.outlook import foresee
from ablate.records.folder import ReportFolder
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.experiment.test_conduct import Stub, conduct, conducting, runs_csv

QUICK = ("seeds=2", "tuning.trials=0", "timing.blocks=0", "recipe.train_images=128")


def here(conditions, _) -> ThisProcess:
    return ThisProcess(conditions, 1)


def load(folder: ReportFolder, name: str) -> list[dict[str, torch.Tensor]]:
    return torch.load(folder.path / "checkpoints" / name, weights_only=True)


@pytest.mark.parametrize("engine", [None, "loop", pytest.param("cohort", marks=pytest.mark.thorough)])
def test_every_engine_keeps_the_weights_of_every_epoch_and_the_results_do_not_change(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str | None
) -> None:
    if engine is None:  # the engine that ablate chooses, which is lanes where there is a compiler
        monkeypatch.delenv("ABLATE_ENGINE", raising=False)
    else:
        monkeypatch.setenv("ABLATE_ENGINE", engine)
    _, plain = conduct(small(*QUICK), tmp_path / "plain", here)
    spec = small(*QUICK, "keep=epochs")
    _, kept = conduct(spec, tmp_path / "kept", here)
    assert runs_csv(kept) == runs_csv(plain)
    assert not (plain.path / "checkpoints" / "epochs").exists()
    for arm in lay_out(spec).arms:
        epochs = load(kept, f"epochs/{arm.slug}.pt")
        assert len(epochs) == spec.recipe.epochs + 1
        with conducting(spec, kept.path, Stub()) as (conducted, _, _):
            first = conducted._plan.make_first_run(arm)
        initial = build_initial_model(first, spec.dataset.facts.compute_shape(None), 10).state_dict()
        for name, tensor in load(kept, f"{arm.slug}.pt").items():
            assert torch.equal(epochs[0][name], initial[name])
            assert torch.equal(epochs[-1][name], tensor)
            assert not torch.equal(epochs[1][name], tensor)


def test_arms_that_are_too_large_are_named_by_plan_and_run_and_keep_only_the_last(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small(*QUICK, "seeds=1", "keep=epochs")
    monkeypatch.setattr(kept_epochs, "MOST_MEGABYTES", 1)  # the first arm takes 0.7 MB
    told = [warning for warning in foresee(spec, lay_out(spec), jobs=1).warnings if "keep:" in warning]
    assert len(told) == 1
    assert "command line: keep: arm pooling=max keeps only its last weights" in told[0]
    assert "take 1 MB" in told[0]
    events, folder = conduct(spec, tmp_path / "kept", here)
    assert told == [event.text for event in events if isinstance(event, Warned)]
    assert sorted(path.name for path in (folder.path / "checkpoints").rglob("*.pt")) == [
        "baseline.pt",
        "baseline.pt",
        "pooling-max.pt",
    ]


def test_a_finished_study_that_gets_the_key_is_told_to_start_afresh(small, tmp_path: Path) -> None:
    conduct(small(*QUICK), tmp_path / "kept", Stub())
    events, folder = conduct(small(*QUICK, "keep=epochs"), tmp_path / "kept", Stub())
    (text,) = [event.text for event in events if isinstance(event, Warned)]
    assert "lacks the weights of every epoch of baseline and pooling=max" in text
    assert "--fresh" in text
    folder.write_epoch_weights("baseline", b"weights")
    folder.lock(fresh=True)
    folder.release()
    assert (tmp_path / "kept.old-1" / "study.yaml").exists()
    assert not list(tmp_path.rglob("*.pt"))


def test_a_study_file_with_the_key_reads_back_and_one_without_it_stays_as_it_was(
    small, small_file: Path
) -> None:
    def read_back(spec: StudySpec) -> StudySpec:
        small_file.write_text(study_file.dump(spec))
        return study_file.read(small_file)

    kept = small("keep=epochs")
    assert read_back(kept).keep == "epochs"
    plain = read_back(small("keep=last"))
    assert plain.keep == "last"
    assert "keep" not in study_file.dump(plain)
