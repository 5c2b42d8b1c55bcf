"""Read a study file for a command, and report mistakes in names together with all other mistakes."""

from collections.abc import Sequence
from pathlib import Path

from ablate.errors import StudyError
from ablate.study import study_file
from ablate.study.spec import StudySpec


def read_study(path: Path, overrides: Sequence[str], plugins: Sequence[str]) -> StudySpec:
    """Read a study. A valid study is read without torch, whose import takes seconds.

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
