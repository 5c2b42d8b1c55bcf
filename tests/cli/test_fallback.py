"""Data that is not there: the fallback answers, or one line says what to do."""

from pathlib import Path

import pytest

from ablate.data.official import FILES
from tests.commands import CACHE, ablate, count_trials
from tests.conftest import SMALL


def test_without_data_or_network_the_fallback_answers_and_says_so(tmp_path: Path) -> None:
    text = SMALL.replace("dataset: digits", "dataset: fashion_mnist").replace(
        "validation: 240", "validation: 10000"
    )
    (tmp_path / "small.yaml").write_text(text + "fallback: {dataset: digits}\n")
    done = ablate(
        "run", "small.yaml", "seeds=1", "tuning.trials=0", "recipe.epochs=1", cwd=tmp_path, drawn=False
    )
    assert done.returncode == 0, done.stderr
    assert (
        "fashion_mnist is not on this machine and cannot be downloaded: answering on digits instead"
        in done.stderr
    )
    assert (
        "The data set fashion_mnist could not be loaded"
        in (tmp_path / "reports/small-digits/report.html").read_text()
    )
    assert not any(CACHE.rglob("*ubyte*"))
    refused = ablate("run", "small.yaml", "--no-fallback", cwd=tmp_path)
    assert refused.returncode == 2
    assert "name its folder with --data-dir or ABLATE_DATA" in refused.stderr


@pytest.mark.thorough
def test_data_that_no_fallback_replaces_is_asked_for_and_never_mistaken(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL + "fallback: {recipe: {epochs: 1}}\n")
    done = ablate("run", "small.yaml", "dataset=mnist", cwd=tmp_path)
    assert done.returncode == 2
    assert "mnist, the fallback's data, is not on this machine either" in done.stderr
    assert not (tmp_path / "reports").exists()


def test_a_file_that_is_not_the_official_one_is_one_line_and_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file in FILES:
        (folder / file).write_bytes(b"not the official file")
    (tmp_path / "small.yaml").write_text(SMALL)
    done = ablate("run", "small.yaml", "dataset=mnist", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not the official file" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not count_trials(tmp_path / "reports" / "small")
