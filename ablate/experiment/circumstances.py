"""Describe how a study's results were made: the machine, the data, the arms and the engines.

An arm is a variant of the network or of its training. An engine is the code that trains a run.
"""

from collections import Counter
from collections.abc import Mapping

from ablate import models
from ablate.data.loading import Dataset
from ablate.experiment.plan import Plan
from ablate.records.provenance import ArmCost, DataFacts, Machine, Provenance
from ablate.records.run_records import Phase


def describe_circumstances(
    plan: Plan, machine: Machine, dataset: Dataset, costs: Mapping[str, ArmCost], plugins: tuple[str, ...]
) -> Provenance:
    """Describe how the recorded results were made.

    Args:
        plan: the plan. All waves (groups of runs) that have records must have been taken from it.
        machine: the hardware and software with which the runs were measured.
        dataset: the study's data set, with images of their original size.
        costs: maps the name of each arm to the arm's cost.
        plugins: the names of the packages from which the user allowed networks.
    """
    records = [record for _, record in plan.find_recorded()]
    engines = Counter(record.engine for record in records if record.engine)
    used_models = sorted({arm.model for arm in plan.layout.arms})
    own_code = {model: code for model in used_models if (code := models.identify_code(model))}
    return Provenance(
        machine=machine,
        data=describe_data(dataset),
        arms=costs,
        networks={
            arm.name: {"model": arm.model, **models.read_keywords(arm.model), **arm.keywords}
            for arm in plan.layout.arms
        },
        contrasts=plan.layout.contrasts,
        left_out=dict(plan.layout.left_out),
        engines=dict(sorted(engines.items())),
        causes={f"{r.phase} {r.arm} {r.setting} seed {r.seed}": r.cause for r in records if r.cause},
        # A user's own network can change without a new version of ablate. So its code is described, too.
        code={model: code.sha256 for model, code in own_code.items()},
        code_content={model: (*code.files, *code.packages) for model, code in own_code.items()},
        plugins=plugins,
        search=plan.generations.summarise(),
        mixed_engines=_list_mixed_engines(plan),
    )


def describe_data(dataset: Dataset) -> DataFacts:
    """Describe the data set: its images, its classes and its checksums."""
    counts = dataset.count_test_images()
    return DataFacts(
        dataset=dataset.name,
        test_images=len(dataset.test_labels),
        classes=tuple(dataset.classes),
        chance=max(counts) / len(dataset.test_labels),
        sha256=dataset.checksums,
        train_images_by_class=tuple(dataset.count_train_images()),
        test_images_by_class=tuple(counts),
        read_as=dataset.read_as,
        cautions=dataset.cautions,
    )


def _list_mixed_engines(plan: Plan) -> tuple[str, ...]:
    """List the names of arms whose confirmed runs were trained by more than one engine."""
    engines: dict[str, set[str]] = {}
    for run, record in plan.find_recorded(Phase.CONFIRM):
        engines.setdefault(run.arm.name, set()).add(record.engine)
    return tuple(name for name, used in engines.items() if len(used - {""}) > 1)
