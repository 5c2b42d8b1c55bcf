"""A module that a user wrote, and a study of one of its networks."""

from functools import partial
from pathlib import Path

import pytest

from ablate.data.loading import prepare_trial_images
from ablate.design.designs import Layout, lay_out
from ablate.design.names import settle_names
from ablate.experiment.try_arms import try_arms
from ablate.interruption import raise_on_interrupt
from ablate.models import own
from ablate.study import study_file
from ablate.study.spec import StudySpec


class ForeignCode:
    """Writes modules into a folder of their own, from which networks are loaded."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(own, "_allowed", [])
        self.cautions: tuple[str, ...] = ()
        """What the last plan told about random numbers that are the same at every seed."""

    def write(self, name: str, code: str) -> None:
        """Write a module or another file, and allow its package."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        own.allow([name.partition("/")[0].removesuffix(".py")])

    def plan(
        self,
        model: str,
        *,
        factors: str = "{width: [8, 6]}",
        recipe: str = "batch_size: 64",
        init: str = "default",
    ) -> Layout:
        """Try a study of this network as `ablate plan` does. Return its arms."""
        with raise_on_interrupt():
            study = self.read(model, factors=factors, recipe=recipe, init=init)
            layout = lay_out(study)
            self.cautions = try_arms(study, layout, partial(prepare_trial_images, study.dataset))
        return layout

    def read(self, model: str, *, factors: str, recipe: str, init: str = "default") -> StudySpec:
        """Write a study of this network, and read it."""
        path = self.folder / "study.yaml"
        path.write_text(
            f"name: tried\nquestion: Does it train?\ndataset: digits\nmodel: {model}\nfactors: {factors}\n"
            f"recipe: {{epochs: 1, optimizer: adam, learning_rate: 0.003, init: {init}, {recipe}}}\n"
            "validation: 240\nseeds: 2\ntiming: {blocks: 0}\n"
        )
        return settle_names(study_file.read(path))
