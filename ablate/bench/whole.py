"""Execute a whole `ablate run` up to its report, and count the examples that it trained on."""

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
    """Execute `ablate run` in a process of its own. Return the report folder that it wrote in `out`.

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
    """Count the examples that the runs of a report folder trained on, in all complete epochs."""
    study = study_file.read(folder / "study.yaml")
    facts, held_out = study.dataset.facts, study.validation
    images = {
        arm.name: facts.count_training_images(arm.recipe.train_images, held_out)
        for arm in lay_out(study).arms
    }
    epochs = read_table("epochs", folder / "tables" / "epochs.csv")
    # An epoch has five rows. Only its last row has a time, so this row stands for the epoch.
    finished = epochs[epochs["train_seconds"].notna()]
    return int(finished["arm"].map(images).sum())
