"""`ablate run` from nothing to its report: what a person waits for, and what was trained meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from ablate.design.designs import lay_out
from ablate.errors import AblateError
from ablate.records.tables import read_table
from ablate.study import study_file


def run_from_nothing(
    study_file: Path, data_root: Path | None, device: torch.device, engine: str, out: Path
) -> Path:
    """The report folder of a study, after `ablate run` wrote it below `out` in a process of its own.

    Raises:
        AblateError: the command failed; the message is its own.
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


def examples_trained(folder: Path) -> int:
    """Examples that the runs of a report folder were trained on: every epoch that came to its end."""
    study = study_file.read(folder / "study.yaml")
    facts, held_out = study.dataset.facts, study.validation
    images = {arm.name: facts.trained_on(arm.recipe.train_images, held_out) for arm in lay_out(study).arms}
    epochs = read_table("epochs", folder / "tables" / "epochs.csv")
    # Of an epoch's five points the last has its clock.
    finished = epochs[epochs["train_seconds"].notna()]
    return int(finished["arm"].map(images).sum())
