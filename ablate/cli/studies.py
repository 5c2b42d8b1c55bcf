"""Read a study file for a command, and report mistakes in names together with all other mistakes."""

from collections.abc import Sequence
from pathlib import Path

from ablate.errors import StudyError
from ablate.study import study_file
from ablate.study.spec import StudySpec


def read_contexts(
    path: Path, overrides: Sequence[str], plugins: Sequence[str], chosen: Sequence[str] = ()
) -> list[StudySpec]:
    """Read the study of each context, or only of the contexts in `chosen`.

    If the file has no contexts, the list has one study.

    Raises:
        StudyError: the study has mistakes, or no such context.
    """
    study = read_study(path, overrides, plugins)
    names = list(dict.fromkeys(chosen)) or list(study.contexts)
    if not names:
        return [study]
    return [read_study(path, overrides, plugins, name) for name in names]


def read_study(
    path: Path, overrides: Sequence[str], plugins: Sequence[str], context: str | None = None
) -> StudySpec:
    """Read a study, or the study of one context. A valid study is read without torch, which imports slowly.

    Raises:
        StudyError: the study has mistakes. The error also lists wrong names of keywords in the valid parts of
            the file.
    """
    try:
        return study_file.read(path, overrides, context=context)
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
