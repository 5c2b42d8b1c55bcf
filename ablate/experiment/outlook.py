"""Describe before training how much work a study will be: its arms, its runs, its minutes. Also warn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ablate.data.loading import prepare_trial_images
from ablate.design.designs import Layout
from ablate.design.runs import Run
from ablate.experiment.expected_seeds import describe_expected_seeds
from ablate.experiment.kept_epochs import choose_kept
from ablate.experiment.price import StudyPrice, price
from ablate.experiment.seed_warnings import warn_of_seeds
from ablate.experiment.try_arms import try_arms
from ablate.records.run_records import Phase
from ablate.study.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The work that a study will be on this machine, and warnings about the study."""

    priced: StudyPrice
    left_out: Mapping[str, str]
    """Maps the name of each combination of factors that cannot be built to the reason."""
    expected_seeds: Sequence[str]
    """Sentences about the expected number of seeds. Empty if the study has a fixed number of seeds."""
    warnings: Sequence[str]
    """Warnings about the study, each in one line. One example is that the study has too few seeds."""


def foresee(study: StudySpec, layout: Layout, *, jobs: int) -> Outlook:
    """Try every arm with real images, and estimate the study's runs and minutes.

    `jobs` is the number of runs that train at the same time.

    Raises:
        AblateError: an arm cannot be trained, or the images cannot be read.
    """
    cautions = try_arms(study, layout, partial(prepare_trial_images, study.dataset))
    priced = price(study, layout, jobs=jobs)
    return Outlook(
        priced=priced,
        left_out=layout.left_out,
        expected_seeds=list(describe_expected_seeds(study, layout)),
        warnings=[
            *(f"{study.locate('model')}: {caution}" for caution in cautions),
            *warn_of_seeds(study, layout),
            *choose_kept(
                study, [Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0) for arm in layout.arms]
            ).refused,
        ],
    )
