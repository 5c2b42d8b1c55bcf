"""Answer from a report folder what checklists for papers ask about experiments.

The questions are those of the NeurIPS Paper Checklist (2025, questions 4 to 8 and 12) and of the Machine
Learning Reproducibility Checklist (Pineau et al., version 2.0, 2020). They are shortened here.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablate.formatting import format_count, format_list, spell_keyword
from ablate.metrics import METRICS
from ablate.records.files import write_whole
from ablate.records.run_records import Phase, Status
from ablate.report.compute import describe_compute, describe_energy, state_hours
from ablate.report.conditions import describe_network, describe_recipe, describe_tuning
from ablate.report.evidence import Evidence, gather
from ablate.report.pages import load_templates
from ablate.report.sources import DATA_SOURCES
from ablate.study.seed_looks import SeedLooks

FILE = "checklist.md"
CHECKSUM_LETTERS = 16
"""The checklist shows this many characters of a checksum. environment.json has the whole checksum."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of a checklist, and its answer."""

    part: str
    """The heading under which the question stands."""
    asked: str
    sources: str
    """Which checklists ask the question."""
    answer: str | None
    """None if the folder does not have the answer."""


def write_checklist(folder: Path, to: Path) -> Path:
    """Write checklist.md into the folder `to`. Return its path.

    Raises:
        FolderError: the report folder is damaged.
    """
    evidence = gather(folder)
    template = load_templates(autoescape=False).get_template(f"{FILE}.j2")
    questions = list(list_questions(evidence, has_networks=(folder / "checkpoints").is_dir()))
    text = template.render(study=evidence.study, missing=evidence.preliminary, questions=questions)
    write_whole(to / FILE, text.encode())
    return to / FILE


def list_questions(evidence: Evidence, *, has_networks: bool) -> Iterator[Question]:
    """List the questions with their answers. `has_networks` says whether the folder has trained networks."""
    answers = {
        "data": _describe_data(evidence),
        "splits": _describe_splits(evidence),
        "versions": _list_checksums(evidence),
        "licence": _name_licence(evidence),
        "preparation": " ".join(evidence.provenance.data.read_as)
        or "Pixels are numbers from 0 to 1. The recipe names augmentation, resizing and a smaller number of "
        "training images, if there are any.",
        "hyperparameters": _describe_hyperparameters(evidence),
        "tuning": _describe_tuning(evidence),
        "runs": _count_runs(evidence),
        "measure": _describe_measure(evidence),
        "error_bars": _describe_error_bars(evidence),
        "tests": _describe_tests(evidence),
        "exclusions": _describe_exclusions(evidence),
        "looks": _describe_looks(evidence),
        "hardware": _describe_hardware(evidence),
        "hours": describe_compute(evidence) if state_hours(evidence) else None,
        "energy": describe_energy(evidence),
        "code": _describe_code(evidence),
        "software": _list_software(evidence),
        "networks": "One trained network for each arm is in the folder checkpoints."
        if has_networks
        else "The folder has no trained networks.",
        "again": "python -m ablate run study.yaml, with the folder's study.yaml and the same packages. All "
        "random choices of a run follow from its seed.",
    }
    for key, (part, asked, sources) in ASKED.items():
        yield Question(part=part, asked=asked, sources=sources, answer=answers[key])


NEURIPS, MLRC = "NeurIPS 2025, question", "ML Reproducibility 2020"
ASKED = {
    "data": ("Data", "Which data were used, and how many?", MLRC),
    "splits": ("Data", "How were training, validation and test data split?", f"{NEURIPS} 6; {MLRC}"),
    "versions": ("Data", "Which version of the data was it?", f"{NEURIPS} 5; {MLRC}"),
    "preparation": ("Data", "Were data left out or preprocessed?", MLRC),
    "licence": ("Data", "What is the licence of the data?", f"{NEURIPS} 12"),
    "hyperparameters": ("Training", "What were all the hyperparameters?", f"{NEURIPS} 6; {MLRC}"),
    "tuning": ("Training", "Which ranges were tried, and how was a value chosen?", f"{NEURIPS} 6; {MLRC}"),
    "runs": ("Training", "How many training and evaluation runs were there?", MLRC),
    "measure": ("Results", "What exactly is measured?", MLRC),
    "error_bars": ("Results", "What do the error bars mean, and what do they cover?", f"{NEURIPS} 7; {MLRC}"),
    "tests": ("Results", "Which tests were made, under which assumptions?", f"{NEURIPS} 7"),
    "exclusions": ("Results", "Did runs fail, or were runs left out of the results?", f"{NEURIPS} 8; {MLRC}"),
    "looks": ("Results", "Was anything changed after results had been seen?", f"{NEURIPS} 4"),
    "hardware": ("Compute", "On which hardware did it run?", f"{NEURIPS} 8; {MLRC}"),
    "hours": ("Compute", "How much computing time did it take?", f"{NEURIPS} 8; {MLRC}"),
    "energy": ("Compute", "How much energy did it take?", MLRC),
    "code": ("Code", "Which version of the code was it?", f"{NEURIPS} 5; {MLRC}"),
    "software": ("Code", "Which packages does the code need?", f"{NEURIPS} 5; {MLRC}"),
    "networks": ("Code", "Are the trained networks available?", MLRC),
    "again": ("Code", "Which command repeats the study?", f"NeurIPS 2025, questions 4 and 5; {MLRC}"),
}  # fmt: skip
"""For each question: the heading above it, its words, and the checklists that ask it."""


def _describe_data(evidence: Evidence) -> str:
    study, data = evidence.study, evidence.provenance.data
    source = DATA_SOURCES.get(study.dataset.name)
    training = study.dataset.facts.train_images
    return (
        f"{source.title if source else study.dataset}: {training:,} images for training and validation, "
        f"{data.test_images:,} test images, {len(data.classes)} classes."
    )


def _describe_splits(evidence: Evidence) -> str:
    study = evidence.study
    if study.dataset.uses_validation_folder:
        held_out = f"{study.validation:,} images of a separate folder are for validation."
    elif study.validation:
        held_out = (
            f"For each seed, {study.validation:,} of the training images are drawn for validation. All arms "
            "have the same split at the same seed."
        )
    else:
        held_out = "All training images are used for training; none is held out for validation."
    return (
        f"{held_out} The {evidence.provenance.data.test_images:,} test images are fixed. Each confirmed run "
        "reads them once, after its last epoch."
    )


def _list_checksums(evidence: Evidence) -> str | None:
    checksums = evidence.provenance.data.sha256
    told = [f"{name} {value[:CHECKSUM_LETTERS]}…" for name, value in checksums.items()]
    return f"SHA-256: {', '.join(told)} (in full in environment.json)." if told else None


def _name_licence(evidence: Evidence) -> str | None:
    source = DATA_SOURCES.get(evidence.study.dataset.name)
    return f"{source.title}: {source.licence}." if source and source.licence else None


def _describe_hyperparameters(evidence: Evidence) -> str:
    study, network = evidence.study, describe_network(evidence.study)
    return (
        f"Recipe: {describe_recipe(study)}. Network: {study.model}{f' with {network}' if network else ''}. "
        f"Factors: {format_list([spell_keyword(name) for name in study.factor_names])}. Every value of "
        "every arm is in study.yaml and environment.json."
    )


def _describe_tuning(evidence: Evidence) -> str:
    if not evidence.study.tuning.active:
        return "Nothing was tuned."
    told = describe_tuning(evidence)
    return (
        f"{told[0].upper()}{told[1:]}. A value is judged by the accuracy on validation images, on seeds that "
        "no confirmed run uses. An arm takes its own best value only if this value beats the value that is "
        "best for all arms together by more than two standard errors. Otherwise it takes the value that is "
        "best for all arms together. The table tuning.csv has every choice."
    )


def _count_runs(evidence: Evidence) -> str:
    runs = evidence.tables["runs"]
    counted = Counter(runs["phase"])
    seeds = sorted({int(seeds) for seeds in evidence.tables["arms"]["seeds"]})
    shown = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    others = [f"{counted[phase]:,} to {phase}" for phase in (Phase.SEARCH, Phase.TUNE) if counted[phase]]
    return (
        f"{len(runs):,} training runs: {format_list([*others, f'{counted[Phase.CONFIRM]:,} to confirm'])}. "
        f"Each of the {len(evidence.arms)} arms has {shown} completed confirmation runs. Each of these runs "
        "is evaluated once on the test images."
    )


def _describe_measure(evidence: Evidence) -> str:
    metric = evidence.study.decision.metric
    return f"{spell_keyword(metric).capitalize()} on the test images: {METRICS[metric].meaning}."


def _describe_error_bars(evidence: Evidence) -> str:
    return (
        f"The error bars are {(1 - evidence.study.decision.alpha) * 100:g}% intervals of Student's t for the "
        "mean over seeds, not standard deviations. They cover the variation from the split into training and "
        "validation images, from the order of the images and from the starting values. They do not cover "
        "another sample of test images. Differences are taken between runs of the same seed. The intervals "
        "assume that differences are roughly normal; an exact sign-flip test checks the p-values without "
        "this assumption."
    )


def _describe_tests(evidence: Evidence) -> str:
    corrected = f", with Holm's correction for {evidence.family} tests" if evidence.family > 1 else ""
    return (
        f"Two-sided paired t-tests over seeds at level {evidence.study.decision.alpha:g}{corrected}. "
        "Equivalence is claimed if two one-sided tests find the difference inside the margin of the study."
    )


def _describe_exclusions(evidence: Evidence) -> str:
    status = evidence.tables["runs"]["status"]
    diverged, pruned = (int((status == one).sum()) for one in (Status.DIVERGED, Status.PRUNED))
    stopped = f" The search stopped {format_count(pruned, 'run')} early." if pruned else ""
    return (
        f"{format_count(diverged, 'run')} diverged and {format_count(evidence.failed_runs, 'run')} "
        f"crashed.{stopped} If a confirmed run of an arm diverged or stayed at chance (no better than "
        "guessing), the arm has no mean. Crashed runs are missing data."
    )


def _describe_looks(evidence: Evidence) -> str:
    changed = evidence.provenance.changed_after_answer
    told = f"Yes. Changed after an answer had been seen: {format_list(changed)}." if changed else "No."
    if isinstance(evidence.study.seeds, SeedLooks):
        told += " The study looked at its results several times; its tests allow for these looks."
    readers = evidence.provenance.test_set_readers
    return (
        f"{told} Number of other studies in the same folder that used the same test images: {len(readers)}."
    )


def _describe_hardware(evidence: Evidence) -> str:
    machine = evidence.provenance.machine
    memory = f", {machine.memory_bytes / 1e9:.0f} GB of memory" if machine.memory_bytes else ""
    return (
        f"{machine.device_name} (torch device {machine.device}), "
        f"{format_count(machine.cores, 'core')}{memory}, "
        f"{machine.system or 'unknown system'}; {format_count(machine.jobs, 'run')} at a time."
    )


def _describe_code(evidence: Evidence) -> str | None:
    """Name the commit of ablate and the fingerprints of the user's own networks."""
    commit, own = evidence.provenance.machine.git_commit, evidence.provenance.code
    known = [f"ablate: git commit {commit}"] if commit else []
    known += [f"{model}: fingerprint {fingerprint}" for model, fingerprint in own.items()]
    return f"{'; '.join(known)}." if known else None


def _list_software(evidence: Evidence) -> str:
    machine = evidence.provenance.machine
    return f"Python {machine.python}, {', '.join(f'{name} {v}' for name, v in machine.packages.items())}."
