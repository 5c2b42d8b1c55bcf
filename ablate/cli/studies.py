"""Read a study file for a command, and report mistakes in names together with all other mistakes."""

from collections.abc import Sequence
from pathlib import Path

from ablate.errors import StudyError
from ablate.study import study_file
from ablate.study.contexts import CHOICE
from ablate.study.spec import StudySpec


def read_contexts(path: Path, overrides: Sequence[str], plugins: Sequence[str]) -> list[StudySpec]:
    """Read the study of every context, or only that of the override `context=NAME`.

    If the file has no contexts, the list has one study.

    Raises:
        StudyError: the study has mistakes, or no such context.
    """
    study = read_study(path, overrides, plugins)
    if not study.contexts:
        return [study]
    return [read_study(path, [*overrides, f"{CHOICE}{name}"], plugins) for name in study.contexts]


def read_study(path: Path, overrides: Sequence[str], plugins: Sequence[str]) -> StudySpec:
    """Read a study. A valid study is read without torch, which imports slowly.

    Raises:
        StudyError: the study has mistakes. The error also lists wrong names of keywords in the valid parts of
            the file.
    """
    try:
        return study_file.read(path, overrides)
    except study_file.InvalidStudyError as error:
        if error.partial is None:
            raise
        from ablate.design.names import settle_names
        from ablate.models import own

        own.allow(plugins)
        try:
            settle_names(error.partial)
        except StudyError as names:
            raise StudyError(*error.lines, *names.lines) from None
        raise
