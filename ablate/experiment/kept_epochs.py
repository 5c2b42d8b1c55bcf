"""For `keep: epochs`, choose the runs that keep their parameters (weights) after every epoch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ablate import models
from ablate.design.runs import Run
from ablate.formatting import format_list
from ablate.study.spec import StudySpec

MOST_MEGABYTES = 100
"""The maximum size of all parameters that `keep: epochs` keeps for a study, in millions of bytes.

LeNet-5 has 0.25 MB of parameters. With 10 epochs, a run keeps them 11 times. So 36 such runs fit.
"""


@dataclass(frozen=True, kw_only=True)
class KeptEpochs:
    """The arms (variants of the network or its training) that keep the parameters of every epoch.

    Only the first run of such an arm keeps them.
    """

    arms: frozenset[str]
    refused: tuple[str, ...]
    """A sentence about each arm that has too many parameters to keep them after every epoch."""


def choose_kept(study: StudySpec, firsts: Sequence[Run]) -> KeptEpochs:
    """Choose the arms that keep the parameters of every epoch.

    `firsts` has the first confirmation run of each arm. Together, the arms can keep `MOST_MEGABYTES`. If an
    arm needs more megabytes than the arms before it leave, it keeps only its last parameters. If the study
    does not have `keep: epochs`, the result is empty.
    """
    kept: set[str] = set()
    refused: list[str] = []
    room = MOST_MEGABYTES * 1_000_000
    for run in firsts if study.keep == "epochs" else ():
        size = _count_bytes(study, run) * (run.recipe.epochs + 1)
        if size <= room:
            kept.add(run.arm.name)
            room -= size
        else:
            refused.append(
                f"{study.locate('keep')}: arm {run.arm.name} keeps only its last weights. The weights of all "
                f"its epochs take {size / 1e6:,.0f} MB. A study can keep {MOST_MEGABYTES} MB of weights, and "
                f"the arms before this one leave {room / 1e6:,.0f} MB"
            )
    return KeptEpochs(arms=frozenset(kept), refused=tuple(refused))


def mark_kept(study: StudySpec, runs: Sequence[Run]) -> list[Run]:
    """Set `keep_epochs` to True in the first run of each arm that `choose_kept` chooses. Return all runs."""
    kept = choose_kept(study, [run for run in runs if run.is_first]).arms
    return [replace(run, keep_epochs=True) if run.is_first and run.arm.name in kept else run for run in runs]


def warn_of_unkept(
    study: StudySpec, runs: Sequence[Run], lacks_weights: Callable[[Run], bool]
) -> Iterator[str]:
    """Yield warnings about arms that do not keep the weights of every epoch, although `keep: epochs` is set.

    `lacks_weights(run)` must return True if the run is already trained, but the report folder does not have
    its weights of every epoch.
    """
    yield from choose_kept(study, [run for run in runs if run.is_first]).refused
    if lacking := [run.arm.name for run in runs if run.keep_epochs and lacks_weights(run)]:
        yield (
            f"{study.locate('keep')}: the folder lacks the weights of every epoch of {format_list(lacking)}. "
            "These arms were trained before the study file had this key, or on another host. To keep their "
            "weights, train the whole study again with --fresh"
        )


def _count_bytes(study: StudySpec, run: Run) -> int:
    facts = study.dataset.facts
    shape = facts.compute_shape(run.recipe.input_size)
    network = models.sketch(run.arm.model, run.keywords, input_shape=shape, classes=facts.classes)
    return sum(tensor.nbytes for tensor in network.state_dict().values())
