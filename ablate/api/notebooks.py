"""Code that is needed only when ablate is used in a notebook."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def import_quietly() -> Iterator[None]:
    """Hide tqdm's warning that ipywidgets is not installed.

    Optuna imports tqdm. ablate does not use tqdm's progress bars, so the warning does not matter.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield
