"""Prepare a study for training: check its arms, and find its data or its fallback."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ablate.cli.console import tell
from ablate.data import sources
from ablate.design.designs import lay_out
from ablate.design.expected_arms import check_predictions
from ablate.design.names import settle_names
from ablate.errors import DataError
from ablate.interruption import raise_on_interrupt
from ablate.models import own
from ablate.study.spec import StudySpec


def check_arms(study: StudySpec, plugins: Sequence[str]) -> StudySpec:
    """Check every arm. Return the study with each keyword written in one fixed way (see `settle_names`).

    `plugins` are packages with networks of the user. The arms are allowed to run the code of these packages.

    Raises:
        AblateError: an arm cannot be built.
    """
    own.allow(plugins)
    # Here Ctrl-C raises Interrupted, so only a user's own code can raise KeyboardInterrupt.
    with raise_on_interrupt():
        study = settle_names(study)
        check_predictions(study, lay_out(study))
    return study


def find_data(
    study: StudySpec, read_fallback: Callable[[], StudySpec] | None, data_dir: Path | None
) -> tuple[StudySpec, Path | None, str | None]:
    """Find the study's data. If the data is missing, choose the study's fallback.

    `read_fallback` reads the study with its fallback. If it is None, the fallback is not allowed. Return
    three things: the study to answer, the folder with its data (None for data without a folder), and the name
    of the missing data set (None if no data set is missing).

    Raises:
        DataError: neither the data nor the fallback's data is on this machine.
    """
    root = sources.find_root(study.dataset, data_dir, download=True)
    if root is not None or not sources.needs_root(study.dataset):
        return study, root, None
    if read_fallback is None or not study.fallback:
        raise DataError(
            f"{study.dataset} is not on this machine and cannot be downloaded: "
            "name its folder with --data-dir or ABLATE_DATA"
        )
    wanted, study = str(study.dataset), settle_names(read_fallback())
    tell(
        f"{wanted} is not on this machine and cannot be downloaded: answering on {study.dataset} instead",
        wrap=True,
    )
    root = sources.find_root(study.dataset, data_dir, download=False)
    if root is None and sources.needs_root(study.dataset):
        raise DataError(
            f"{study.dataset}, the fallback's data, is not on this machine either: use dataset=digits, "
            "or name its folder with --data-dir or ABLATE_DATA"
        )
    return study, root, wanted
