"""Lines and progress bars of a terminal can be read at its width."""

import io

import pytest
from rich.console import Console

from ablate.cli import console
from ablate.cli.console import break_between_words
from ablate.cli.progress import make_display
from ablate.experiment.events import Advanced

SENTENCE = "warning: 5 test pictures are also among the training images: a/very/long/path/of/one/picture.png"


def test_a_sentence_is_broken_between_words() -> None:
    assert break_between_words(f"  {SENTENCE}", 30).splitlines() == [
        "  warning: 5 test pictures are",
        "  also among the training",
        "  images:",
        "  a/very/long/path/of/one/picture.png",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_gets_broken_sentences(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=written, width=80, force_terminal=terminal))
    console.tell(SENTENCE, wrap=True)
    console.tell(SENTENCE)
    assert len(written.getvalue().splitlines()) == (3 if terminal else 2)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_cuts_only_the_latest_result_of_a_bar(width: int) -> None:
    written = io.StringIO()
    terminal = Console(file=written, width=width, force_terminal=True, color_system=None, _environ={})
    with make_display(terminal, quiet=False) as display:
        display.show(Advanced(phase="confirm", done=3, total=32, arm="pooling=max" * 9, detail="seed 1"))
    last = [line for line in written.getvalue().splitlines() if "━" in line][-1]
    assert "confirm " in last
    assert " 3/32 0:00:0" in last
    assert " left -:--:-- pooling" in last
    assert last.rstrip().endswith("…")
