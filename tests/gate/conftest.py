"""Pairs of report folders for the gate, as `run` leaves them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ablate.records.tables import read_table, write_table
from ablate.report.evidence import Evidence, gather
from ablate.study import study_file
from tests.conftest import SMALL
from tests.report.test_writer import write_folder

SEEDS = 8
NOISE = np.array([3, -5, 1, 4, -2, 0, -4, 2]) / 1000
"""Noise of eight seeds; folders other than `a` have another order of the same values."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`folder("b", base=0.9, arm=0.93)`: a folder with such mean accuracies, and noise from its name."""

    def make(
        name: str, *overrides: str, noise=1.0, pace=1.0, changes=None, parameters=61_706, **arms
    ) -> Path:
        parent = tmp_path_factory.mktemp("gate")
        (parent / "small.yaml").write_text(SMALL)
        spec = study_file.read(
            parent / "small.yaml", [f"seeds={SEEDS}", "tuning.trials=0", "validation=0", *overrides]
        )
        wiggle = np.roll(NOISE, 0 if name == "a" else 3) * noise
        accuracies = {
            arm: (given + wiggle).tolist() if isinstance(given, float) else given
            for arm, given in arms.items()
        }
        path = write_folder(parent / name, study_file.dump(spec), accuracies, **(changes or {}))
        if pace != 1.0:
            timing = path / "tables" / "timing.csv"
            table = read_table("timing", timing)
            table.loc[table["arm"] != "base", "seconds"] *= pace
            write_table(table, timing)
        facts = json.loads((path / "environment.json").read_text())
        facts["arms"] = {arm: {**cost, "parameters": parameters} for arm, cost in facts["arms"].items()}
        (path / "environment.json").write_text(json.dumps(facts))
        return path

    return make


@pytest.fixture(scope="session")
def evidence(folder) -> Callable[..., Evidence]:
    """What such a folder holds. Equal folders are made once: do not change what is in them."""
    made: dict[str, Evidence] = {}

    def read(*given: str, **arms) -> Evidence:
        key = repr((given, arms))
        if key not in made:
            made[key] = gather(folder(*given, **arms))
        return made[key]

    return read
