"""A module that a user wrote, and a study of one of its networks."""

from functools import partial
from pathlib import Path

import pytest

from ablate.data.loading import prepare_trial_images
from ablate.design.designs import Layout, lay_out
from ablate.design.names import settle_names
from ablate.experiment.try_arms import try_arms
from ablate.models import own
from ablate.study import study_file


class ForeignCode:
    """Writes modules into a folder of their own, from which networks are loaded."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(own, "_allowed", [])

    def write(self, name: str, code: str) -> None:
        """Write a module or another file, and allow its package."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        own.allow([name.partition("/")[0].removesuffix(".py")])

    def plan(self, model: str, *, factors: str = "{width: [8, 6]}", recipe: str = "batch_size: 64") -> Layout:
        """Try a study of this network as `ablate plan` does. Return its arms."""
        path = self.folder / "study.yaml"
        path.write_text(
            f"name: tried\nquestion: Does it train?\ndataset: digits\nmodel: {model}\nfactors: {factors}\n"
            f"recipe: {{epochs: 1, optimizer: adam, learning_rate: 0.003, init: default, {recipe}}}\n"
            "validation: 240\nseeds: 2\ntiming: {blocks: 0}\n"
        )
        study = settle_names(study_file.read(path))
        layout = lay_out(study)
        try_arms(study, layout, partial(prepare_trial_images, study.dataset))
        return layout
