"""Every study of ours can be run to its report by whoever has nothing but this package."""

from pathlib import Path

import pytest

from tests.conftest import STUDIES
from tests.test_main import ablate

SMALLEST = ("seeds=1", "recipe.epochs=1", "tuning.trials=0", "timing.blocks=1", "timing.block_seconds=0.01")


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_study_of_ours_gives_a_report_at_its_smallest_size(path: Path, tmp_path: Path) -> None:
    done = ablate("run", path, *SMALLEST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / f"{path.stem}-digits" / "report.html").exists()


@pytest.mark.parametrize("name", ["lenet_pooling"])
def test_real_data_gives_a_report_too(name: str, tmp_path: Path, real_data: Path) -> None:
    done = ablate("run", STUDIES / f"{name}.yaml", *SMALLEST, "--data-dir", real_data, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 pairs" not in done.stdout
    assert (tmp_path / "reports" / name / "report.html").exists()
