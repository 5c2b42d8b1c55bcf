"""What a notebook needs and a terminal does not."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def import_quietly() -> Iterator[None]:
    """Hide a warning that tqdm, which Optuna imports, prints in a notebook without ipywidgets.

    ablate does not use tqdm's bars.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield
