"""Code that is needed only when ablate is used in a notebook."""

import base64
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape


@contextmanager
def import_quietly() -> Iterator[None]:
    """Hide tqdm's warning that ipywidgets is not installed.

    Optuna imports tqdm. ablate does not use tqdm's progress bars, so the warning does not matter.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield


def make_paragraphs(answer: str) -> str:
    """Make the HTML of an answer. An empty line begins a new paragraph."""
    return "".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in answer.split("\n\n"))


def make_picture(name: str, png: bytes) -> str:
    """Make the HTML of a figure from the contents of its PNG file."""
    return (
        f'<img alt="{name}" style="max-width: 100%; width: 40em; background: white" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )
