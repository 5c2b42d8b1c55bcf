"""A whole `ablate run` from nothing to its report, and the number of examples it trained."""

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
    """Run `ablate run` in its own process; returns the report folder that it wrote below `out`.

    Raises:
        AblateError: the command failed; the message has its last line.
    """
    command = [sys.executable, "-m", "ablate", "run", str(study_file), "--out", str(out), "--quiet"]
    command += ["--device", device.type, "--no-fallback"]
    command += ["--data-dir", str(data_root)] if data_root is not None else []
    chosen = {} if engine == "auto" else {"ABLATE_ENGINE": engine}
    done = subprocess.run(command, env=os.environ | chosen, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise AblateError(f"`ablate run {study_file}` ended early: {said[-1]}")
    return next(out.glob("*/study.yaml")).parent


def count_examples(folder: Path) -> int:
    """Training examples of all complete epochs of a report folder's runs."""
    study = study_file.read(folder / "study.yaml")
    facts, held_out = study.dataset.facts, study.validation
    images = {
        arm.name: facts.count_training_images(arm.recipe.train_images, held_out)
        for arm in lay_out(study).arms
    }
    epochs = read_table("epochs", folder / "tables" / "epochs.csv")
    # Only the last of an epoch's five points has its time.
    finished = epochs[epochs["train_seconds"].notna()]
    return int(finished["arm"].map(images).sum())
