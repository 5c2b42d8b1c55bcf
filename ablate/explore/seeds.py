"""What the runs of all seeds predicted for the test images, from the folder `predictions`."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd

from ablate.design.runs import make_slug
from ablate.errors import FolderError
from ablate.records.predictions import Array, read_guesses
from ablate.records.run_records import Phase, Status


class SeedGuesses:
    """The predictions of each arm's confirmed runs. The files are read at the first use."""

    def __init__(self, path: Path, runs: pd.DataFrame) -> None:
        """`path` is the report folder, and `runs` its table of runs."""
        self._path = path
        confirmed = runs[(runs["phase"] == Phase.CONFIRM) & (runs["status"] == Status.COMPLETE)]
        self._runs = [
            (str(arm), str(setting), int(seed))
            for arm, setting, seed in confirmed[["arm", "setting", "seed"]].itertuples(index=False)
        ]

    def list_guesses(self, image: int) -> dict[str, dict[int, int]]:
        """Return the class that each seed of each arm predicts for a test image.

        Runs and arms without files are left out.
        """
        return {
            arm: {seed: int(guesses[image]) for seed, guesses in by_seed.items() if image < len(guesses)}
            for arm, by_seed in self._guesses.items()
        }

    @cached_property
    def _guesses(self) -> Mapping[str, Mapping[int, Array]]:
        found: dict[str, dict[int, Array]] = {}
        for arm, setting, seed in self._runs:
            try:
                guesses = read_guesses(self._path, make_slug(arm), setting, seed)
            except FolderError:
                continue  # published folders have no predictions, and the page says that some are missing
            found.setdefault(arm, {})[seed] = guesses
        return found

    @property
    def missing(self) -> int:
        """The number of complete confirmed runs whose predictions are not in the folder."""
        return len(self._runs) - sum(map(len, self._guesses.values()))
