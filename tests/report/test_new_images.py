"""A report says what a comparison tells about new images, and on which images its arms agree."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ablate.records.tables import write_table
from ablate.report import writer
from ablate.report.answer import list_findings
from ablate.report.evidence import Evidence, gather
from ablate.stats.agreement import tabulate_agreement
from ablate.stats.contrasts import make_contrasts
from ablate.study import study_file
from tests.report.test_writer import write_folder

IMAGES = 400

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def study(tmp_path: Path, small) -> Callable[..., Evidence]:
    """A folder of two arms. Of 400 images, the arm is right on more in every seed, always on the same ones."""

    def write(more: int, less: int, *, kept: int = 4, failed: int = 0, noise: int = 1) -> Evidence:
        """The arm is right on `more` images that the baseline gets wrong, and the baseline on `less`.

        The arm is right on `noise` further images on average, and on as many in the first three seeds. Predictions of `kept` seeds are there.
        """
        right: dict[str, dict[int, np.ndarray]] = {"baseline": {}, "pooling=max": {}}
        for seed in range(4):
            base = np.arange(IMAGES) < 300
            arm = base.copy()
            arm[300 : 300 + more + noise * (1, 0, 2, 1)[seed]] = True
            arm[:less] = False
            right["baseline"][seed], right["pooling=max"][seed] = base, arm
        accuracies: dict[str, list[float | str]] = {
            arm: [float(found.mean()) for found in by_seed.values()] for arm, by_seed in right.items()
        }
        for seed in range(failed):
            accuracies["baseline"][seed] = "diverged"
            del right["baseline"][seed]
        folder = write_folder(tmp_path / "small", study_file.dump(small("seeds=4")), accuracies)
        stored = {arm: dict(list(by_seed.items())[:kept]) for arm, by_seed in right.items()}
        table = tabulate_agreement(stored, make_contrasts([("pooling=max", "baseline")]))
        write_table(table, folder / "tables/agreement.csv")
        return gather(folder)

    return write


def explain(evidence: Evidence) -> tuple[str, str]:
    (finding,) = list_findings(evidence)
    return finding.verdict, finding.sentence


def test_a_difference_that_rests_on_these_images_is_not_called_large_on_new_ones(study) -> None:
    verdict, sentence = explain(study(19, 10))
    assert verdict == "matters"
    assert (
        "Difference on new images of the same kind: −0.17 to +5.17 points (95% interval that allows for the "
        "choice of test images). For new images the verdict would be: inconclusive." in sentence
    )


def test_the_same_verdict_is_not_repeated(study) -> None:
    verdict, sentence = explain(study(59, 0))
    assert verdict == "matters"
    assert "Difference on new images of the same kind: +11.50 to +18.50 points" in sentence
    assert "verdict would be" not in sentence


def test_the_agreement_of_the_two_arms_is_stated(study) -> None:
    assert (
        "Both arms are right on 72.5% of the test images, only pooling=max on 5.0%, only baseline on 2.5%, "
        "neither on 20.0% (mean over 4 seeds)." in explain(study(19, 10))[1]
    )


def test_an_interval_from_some_of_the_seeds_says_so_and_has_no_verdict(study) -> None:
    verdict, sentence = explain(study(19, 10, kept=3))
    assert verdict == "matters"
    assert "choice of test images, from 3 pairs of runs)" in sentence
    assert "verdict would be" not in sentence


def test_two_seeds_have_shares_but_no_interval(study) -> None:
    sentence = explain(study(19, 10, kept=2))[1]
    assert "(mean over 2 seeds)" in sentence
    assert "new images" not in sentence


def test_an_unstable_comparison_speaks_of_the_runs_that_trained(study) -> None:
    verdict, sentence = explain(study(19, 10, failed=1))
    assert verdict == "unstable"
    assert "choice of test images, from 3 pairs of runs that trained)" in sentence
    assert "(mean over 3 seeds in which both trained)" in sentence
    assert "verdict would be" not in sentence


def test_without_any_spread_the_verdict_stays(study) -> None:
    verdict, sentence = explain(study(19, 10, noise=0))
    assert verdict == "no spread, not tested"
    assert "Difference on new images of the same kind" in sentence
    assert "verdict would be" not in sentence


def test_a_folder_without_the_table_has_no_sentence_and_no_computed_table(study, tmp_path: Path) -> None:
    study(19, 10)
    folder = tmp_path / "small"
    writer.write(folder)
    assert (folder / "tables/new_images.csv").exists()
    (folder / "tables/agreement.csv").unlink()
    (finding,) = list_findings(writer.write(folder))
    assert "new images" not in finding.sentence
    assert not (folder / "tables/new_images.csv").exists()
