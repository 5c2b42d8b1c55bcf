"""A study in Python, read from a study file, or made from Python values and a user's own network."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ablate.api.own_source import OwnSource, extract_source, is_importable
from ablate.cache import locate_cache
from ablate.cli.studies import read_study
from ablate.study import study_file
from ablate.study.spec import StudySpec


class Study:
    """One question about a network, and the conditions under which it is answered.

    The keywords are the keys of a study file (see `studies/README.md`): `name`, `question`, `factors`,
    `baseline`, `recipe`, `tuning`, `seeds`, and so on. `model` is the name of a network, or a function or
    class that builds a network.

    The processes that train cannot see a notebook. So a function or class of a notebook is copied to a file,
    with everything that it uses from the notebook. The report folder keeps this file. The file's name
    contains a hash of the source, so runs before and after a change of the code are never mixed.

    Raises:
        AblateError: the study has mistakes. The message has one line for each mistake.
    """

    def __init__(self, *, model: str | Callable[..., Any] = "lenet", **keys: Any) -> None:
        self.source: OwnSource | None = None
        self.plugins: tuple[str, ...] = ()
        if not isinstance(model, str):
            model = self._allow(model)
        raw = {"model": model, **keys}
        self.spec: StudySpec = study_file.make(raw)
        self._read_fallback: Callable[[], StudySpec] = partial(study_file.make, raw, fallback=True)

    @classmethod
    def read(cls, path: str | Path, *overrides: str, plugins: Iterable[str] = ()) -> "Study":
        """Read a study file and apply `key=value` overrides, as `ablate run` does.

        If the study has several contexts, `context` names the one to plan or run.

        `plugins` are packages or modules that define the study's own networks. Their code is executed.

        Raises:
            AblateError: the file has mistakes. The message has one line for each mistake.
        """
        study = cls.__new__(cls)
        study.source, study.plugins = None, tuple(plugins)
        study.spec = read_study(Path(path), overrides, study.plugins)
        study._read_fallback = partial(study_file.read, Path(path), overrides, fallback=True)
        return study

    @property
    def name(self) -> str:
        """The name of the study, which is also the name of its report folder."""
        return self.spec.name

    def read_fallback(self) -> StudySpec:
        """Read the study with its `fallback` section applied, for a machine without the study's data."""
        return self._read_fallback()

    def provide_code(self) -> None:
        """Make sure that this process and its workers can import the study's own networks.

        Raises:
            AblateError: the study has contexts, and none of them was chosen.
        """
        study_file.require_one_context(self.spec)
        from ablate.models import own  # imports torch

        if self.source is not None:
            self.source.write(locate_cache() / "networks")
        own.allow(self.plugins)

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {self.spec.question!r})"

    def _allow(self, model: Callable[..., Any]) -> str:
        """Make sure that other processes can import a network. Return the network's name in a study."""
        if is_importable(model):
            self.plugins = (model.__module__,)
            return f"{model.__module__}:{model.__qualname__}"
        self.source = extract_source(model)
        self.plugins = (self.source.module,)
        return self.source.model
