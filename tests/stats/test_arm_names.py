"""The names of arms for pages and figures."""

from collections.abc import Callable

import pandas as pd

from ablate.stats.arm_names import read_arm_names
from ablate.study.spec import StudySpec


def test_lists_of_the_baseline_and_of_arms_are_written_alike(small: Callable[..., StudySpec]) -> None:
    study = small("factors={channels: [[6, 16], [3, 8]], kernel_size: [5, 3]}")
    runs = pd.DataFrame(
        {
            "arm": ["baseline", "channels=[3 8]", "channels=[3 8],kernel_size=3"],
            "channels": ["[6, 16]", "[3, 8]", "[3, 8]"],
            "kernel_size": ["5", "5", "3"],
        }
    )
    names = read_arm_names(study, runs, "baseline")
    assert names.name_contrast("channels=[3 8]", "baseline") == (
        "channels=[3 8] against baseline (channels=[6 16])"
    )
    assert names.name_change("channels=[3 8],kernel_size=3", "channels=[3 8]") == "kernel_size=3"
    words = read_arm_names(study, runs.assign(channels='["a", "b"]', kernel_size="[x"), "baseline")
    assert words.name_arm("baseline") == "baseline (channels=[a b], kernel_size=[x)"
    assert names.name_arm("baseline") == "baseline (channels=[6 16], kernel_size=5)"
