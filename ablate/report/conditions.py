"""Write sentences about the conditions under which the answer holds."""

from collections.abc import Container, Mapping
from typing import Any

import pandas as pd

from ablate.formatting import format_list, format_points, spell_keyword
from ablate.records.provenance import Finalist
from ablate.report.compute import describe_compute
from ablate.report.evidence import Evidence
from ablate.report.training_length import compare_verdicts_at_half
from ablate.stats.chance import compute_accuracy_standard_error, describe_majority
from ablate.stats.tried_values import list_uneven_ranges
from ablate.study.owners import belongs_to_recipe, drop_owner
from ablate.study.recipe_values import list_recipe_values
from ablate.study.spec import StudySpec, ValueWhen, format_value


def list_conditions(evidence: Evidence) -> list[str]:
    """List the conditions: what was compared and fixed, how arms were trained, the data and the machine."""
    study = evidence.study
    network, compute = describe_network(study), describe_compute(evidence)
    return [
        f"Compared: {_list_factors(evidence)}.",
        f"Network: {study.model}{f' with {network}' if network else ''}. Keywords of the network that are "
        "not named in this list have their default values.",
        f"Training: {describe_recipe(study)}; {describe_tuning(evidence)}.",
        *_describe_losses(study),
        *_describe_first_seed(study),
        *compare_verdicts_at_half(evidence),
        *([f"The arm “full” has {_list_full_values(study)}."] if study.design == "leave_one_out" else []),
        *(
            f"{name.capitalize()} is {finalist.arm.replace(',', ', ')}."
            for name, finalist in _get_finalists(evidence).items()
        ),
        _describe_data(evidence),
        _describe_machine(evidence),
        f"Compute: {compute[0].lower()}{compute[1:]}",
        *_describe_registration(evidence),
    ]


def _describe_registration(evidence: Evidence) -> list[str]:
    """Say whether the study file was committed before the first run. Older folders do not have this fact."""
    registration = evidence.provenance.registration
    if registration is None:
        return []
    if not registration.commit:
        return [
            "Registration: none. Either the study file was not committed to git before the first run, or "
            "keys were changed on the command line, so that the study differs from the committed file. "
            "Therefore no commit shows that the question came before the results."
        ]
    return [
        "Registration: the study file, with its question, margin, ranges and seeds, was committed to git "
        f"before the first run (commit {registration.commit[:12]} of {registration.date})."
    ]


def _describe_first_seed(study: StudySpec) -> list[str]:
    if not study.first_seed:
        return []
    return [f"Seeds: the runs that decide the verdicts have the seeds from {study.first_seed:,} on."]


def describe_network(study: StudySpec) -> str:
    """List the settings of the baseline's network that no arm changes and tuning does not choose."""
    return _list_settings(study.baseline, {*study.factor_names, *study.tuning.ranges})


def describe_recipe(study: StudySpec) -> str:
    """List the settings of the recipe that no arm changes and tuning does not choose."""
    may_change = {*study.factor_names, *study.tuning.ranges}
    changing = {drop_owner(name) for name in may_change if belongs_to_recipe(name)}
    return _list_settings(_list_recipe(study), changing)


def _list_recipe(study: StudySpec) -> dict[str, Any]:
    """Return the recipe's keys that have a value. If an arm's learning rate falls in steps, add the steps."""
    recipe = study.recipe
    steps = {"step_epochs": recipe.count_step_epochs(), "step_factor": recipe.step_factor}
    listed = recipe.dump() | (steps if "step" in list_recipe_values(study, "schedule") else {})
    return {key: value for key, value in listed.items() if value is not None}


def _describe_losses(study: StudySpec) -> list[str]:
    """If an arm's training labels are smoothed, say which losses the report shows."""
    if not any(list_recipe_values(study, "label_smoothing")) and "label_smoothing" not in {
        drop_owner(name) for name in study.tuning.ranges if belongs_to_recipe(name)
    }:
        return []
    return ["Losses: all losses in this report are cross-entropies without label smoothing."]


def _describe_data(evidence: Evidence) -> str:
    study, images = evidence.study, evidence.provenance.data.test_images
    held_out = (
        f"{study.validation:,} images from a separate folder are used for validation"
        if study.dataset.uses_validation_folder
        else f"{study.validation:,} training images are held out for validation"
        if study.validation
        else "all training images are used for training, and none is held out for validation"
    )
    baseline = evidence.tables["arms"]["test_accuracy_mean"].iloc[0]
    error = ""
    if pd.notna(baseline):
        size = format_points(compute_accuracy_standard_error(float(baseline), images))
        error = (
            f" With other test images an accuracy would differ by about ±{size} (its standard error). "
            "Pairing runs by seed does not remove this error, so the verdict holds only for these images."
        )
    readers = len(evidence.provenance.test_set_readers)
    others = (
        f"{readers or 'No'} other {'study' if readers == 1 else 'studies'} with a report in the same folder"
    )
    return (
        f"Data: {study.dataset}; {held_out}. Accuracy is measured on {images:,} test images. "
        f"{_describe_majority(evidence)}{error} {others} used the same test images."
    )


def _describe_majority(evidence: Evidence) -> str:
    """State the accuracy of a network that always predicts the most frequent class of the test images."""
    data = evidence.provenance.data
    if counts := data.test_images_by_class:
        return describe_majority(data.classes, counts)
    return f"A network that always predicts their most frequent class has the accuracy {data.chance:.1%}."


def _describe_machine(evidence: Evidence) -> str:
    machine = evidence.provenance.machine
    return (
        f"Machine: {machine.device} ({machine.device_name}). Throughput is measured with a plain training "
        f"loop in torch, with {machine.timing_threads} threads. During the measurement, no other run uses "
        "the machine. The measured time covers fetching a batch of images from memory, forward pass, "
        "backward pass, optimiser step and running metrics. The "
        f"measured time does not cover loading, decoding or evaluation.{_describe_memory_format(evidence)}"
    )


def _describe_memory_format(evidence: Evidence) -> str:
    """State the image tensors' memory format, which affects throughput. Say nothing if it is unknown."""
    used: dict[str, list[str]] = {}
    for name, cost in evidence.provenance.arms.items():
        if cost.memory_format is not None:
            used.setdefault(cost.memory_format, []).append(name)
    if len(used) < 2:
        return "".join(f" Image tensors have the memory format {kind} in all arms." for kind in used)
    parts = [f"{kind} for {format_list(names)}" for kind, names in used.items()]
    return (
        f" The memory format of image tensors is {format_list(parts)}. This can cause part of a difference "
        "in throughput."
    )


def _get_finalists(evidence: Evidence) -> Mapping[str, Finalist]:
    return evidence.provenance.search.finalists if evidence.provenance.search else {}


def _list_full_values(study: StudySpec) -> str:
    values = {
        name: value.value if isinstance(value, ValueWhen) else value
        for name, (value,) in study.factors.items()
    }
    return _list_settings(values, ())


def _list_factors(evidence: Evidence) -> str:
    """List the factors, such as `pooling (baseline: avg)`. List the arms if the study file names them."""
    study = evidence.study
    if study.arms:
        settings = format_list([spell_keyword(name) for name in study.factor_names])
        return f"{format_list(evidence.arms)}, which differ in {settings}"
    runs = evidence.tables["runs"]
    baseline = runs[runs["arm"] == evidence.arms[0]]
    told = []
    for name in study.factor_names:
        values = baseline[name].dropna() if name in baseline else baseline["arm"].head(0)
        told.append(spell_keyword(name) + (f" ({evidence.arms[0]}: {values.iloc[0]})" if len(values) else ""))
    return ", ".join(told)


def _list_settings(settings: Mapping[str, Any], leave_out: Container[str]) -> str:
    return ", ".join(
        f"{spell_keyword(k)} {format_value(v)}" for k, v in settings.items() if k not in leave_out
    )


def describe_tuning(evidence: Evidence) -> str:
    """Say what was tuned and over which range: `learning rate tuned for every arm over …`."""
    study, tuned = evidence.study, evidence.tables["tuning"]
    if not study.tuning.active:
        return "nothing was tuned"
    parts = []
    for name, ranges in study.tuning.ranges.items():
        of_name = tuned[tuned["parameter"] == name]
        if of_name.empty:
            continue
        if len(ranges) > 1:
            spans = (
                f"{span.low:g} to {span.high:g}"
                + (f" for arms with {_list_settings(span.when, ())}" if span.when else "")
                for span in ranges
            )
            parts.append(f"{spell_keyword(name)} tuned for every arm over {', or '.join(spans)}")
        else:
            (span,) = ranges
            beyond = ", widened because a best value lay at the edge" if of_name["extended"].any() else ""
            same = "a" if list_uneven_ranges(of_name) else "the same"
            parts.append(
                f"{spell_keyword(name)} tuned for every arm over {same} range ({span.low:g} to "
                f"{span.high:g}{beyond})"
            )
    return ", ".join(parts) or ("tuning is not finished" if evidence.preliminary else "nothing was tuned")
