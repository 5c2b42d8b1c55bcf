"""Execute a whole `ablate run`, up to the report. Then count the examples that its runs trained on."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from ablate.design.designs import lay_out
from ablate.errors import AblateError
from ablate.records.tables import read_table
from ablate.study import study_file


def run_study(study_file: Path, data_root: Path | None, device: torch.device, engine: str, out: Path) -> Path:
    """Execute `ablate run` in a separate process. Return the report folder that the command wrote in `out`.

    Raises:
        AblateError: the command failed. The message ends with the last line that the command printed.
    """
    command = [sys.executable, "-m", "ablate", "run", str(study_file), "--out", str(out), "--quiet"]
    command += ["--device", str(device), "--no-fallback"]
    command += ["--data-dir", str(data_root)] if data_root is not None else []
    chosen = {} if engine == "auto" else {"ABLATE_ENGINE": engine}
    done = subprocess.run(command, env=os.environ | chosen, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise AblateError(f"`ablate run {study_file}` ended early: {said[-1]}")
    return next(out.glob("*/study.yaml")).parent


def count_examples(folder: Path) -> int:
    """Count the training examples in all complete epochs of all runs of a report folder."""
    study = study_file.read(folder / "study.yaml")
    facts, held_out = study.dataset.facts, study.validation
    images = {
        arm.name: facts.count_training_images(arm.recipe.train_images, held_out)
        for arm in lay_out(study).arms
    }
    epochs = read_table("epochs", folder / "tables" / "epochs.csv")
    # The table has five rows for each epoch. Only the last of them has a time. Each such row is one epoch.
    finished = epochs[epochs["train_seconds"].notna()]
    return int(finished["arm"].map(images).sum())
