"""Obstacles: reasons why two report folders cannot be compared, whatever their results are."""

from typing import NamedTuple

from ablate.formatting import format_list
from ablate.gate.rules import Reason
from ablate.report.comparison import CONDITIONS, HARDWARE
from ablate.report.evidence import Evidence
from ablate.study.study_file import list_changes

OF_THE_DATA = ("dataset", "validation")
"""Keys of a study that decide on which images the runs train and are tested."""
MOST_SHOWN = 3


class Obstacle(NamedTuple):
    """The reason why two folders cannot be compared, and a sentence with the obstacle and its remedy."""

    reason: Reason
    sentence: str


def find_obstacle(first: Evidence, second: Evidence, *, settings_may_differ: bool) -> Obstacle | None:
    """Find a reason why the accuracies of two folders cannot be compared. Return None if there is none."""
    if differences := _list_data_differences(first, second):
        told = f"The folders have different data: {format_list(differences[:MOST_SHOWN])}."
        return Obstacle(Reason.OTHER_DATA, told)
    for evidence, name in ((first, "A"), (second, "B")):
        if evidence.missing_runs:
            told = f"The study of {name} is not finished: {evidence.missing_runs} runs are missing."
            return Obstacle(Reason.UNFINISHED, f"{told} `ablate run` continues the study.")
    if not settings_may_differ and (changes := _list_setting_differences(first, second)):
        more = len(changes) - MOST_SHOWN
        told = format_list([*changes[:MOST_SHOWN], *([f"{more} more"] if more > 0 else [])])
        return Obstacle(
            Reason.OTHER_SETTINGS,
            f"The settings differ: {told}. To compare the folders anyway, add --settings-may-differ.",
        )
    return None


def find_timing_obstacle(first: Evidence, second: Evidence) -> Obstacle | None:
    """Find a reason why the throughputs of two folders cannot be compared. Return None if there is none."""
    for key in HARDWARE:
        was, now = (getattr(evidence.provenance.machine, key) for evidence in (first, second))
        if was != now:
            told = f"The folders were timed on different hardware: {key} is {was!r} in A and {now!r} in B."
            return Obstacle(Reason.OTHER_HARDWARE, told)
    if first.arms[0] != second.arms[0]:
        return Obstacle(Reason.NO_COMMON_ARM, "The folders have different baselines.")
    for evidence, name in ((first, "A"), (second, "B")):
        if evidence.missing_blocks:
            told = f"Timing blocks of {name} are missing. `ablate run` continues the measurement."
            return Obstacle(Reason.UNFINISHED, told)
    return None


def _list_data_differences(first: Evidence, second: Evidence) -> list[str]:
    """List differences in the images. Checksums are compared only if both folders have them."""
    was, now = first.provenance.data, second.provenance.data
    found = [
        f"{key} is {before!r} in A and {after!r} in B"
        for key, before, after in list_changes(first.study, second.study)
        if key.split(".")[0] in OF_THE_DATA
    ]
    if was.dataset != now.dataset and not found:
        found.append(f"A used {was.dataset} and B used {now.dataset}")
    if was.test_images != now.test_images:
        found.append(f"A has {was.test_images} test images and B has {now.test_images}")
    changed = [name for name in was.sha256.keys() & now.sha256.keys() if was.sha256[name] != now.sha256[name]]
    return [*found, *(f"the checksum of {name} differs" for name in sorted(changed))]


def _list_setting_differences(first: Evidence, second: Evidence) -> list[str]:
    return [
        f"{key} is {before!r} in A and {after!r} in B"
        for key, before, after in list_changes(first.study, second.study)
        if (part := key.split(".")[0]) in CONDITIONS and part not in (*OF_THE_DATA, "seeds")
    ]
