"""Choose the runs whose parameters are kept after every epoch, for `keep: epochs`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ablate import models
from ablate.design.runs import Run
from ablate.formatting import format_list
from ablate.study.spec import StudySpec

MOST_MEGABYTES = 100
"""The maximum size of all parameters that `keep: epochs` keeps for a study, in millions of bytes.

LeNet-5 has 0.25 MB of parameters. So 36 LeNets fit if each of them trains for 10 epochs.
"""


@dataclass(frozen=True, kw_only=True)
class KeptEpochs:
    """The arms whose first run keeps the parameters of every epoch, and a sentence about each other arm."""

    arms: frozenset[str]
    refused: tuple[str, ...]


def choose_kept(study: StudySpec, firsts: Sequence[Run]) -> KeptEpochs:
    """Choose the arms that keep the parameters of every epoch.

    `firsts` has each arm's first confirmation run. In their order, each arm gets its part of
    `MOST_MEGABYTES`. An arm that needs more than what is left is refused. Then it keeps only its last
    parameters. Without `keep: epochs`, the result is empty.
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
                f"its epochs take {size / 1e6:,.0f} MB. A study has room for {MOST_MEGABYTES} MB, and the "
                f"arms before this one leave {room / 1e6:,.0f} MB"
            )
    return KeptEpochs(arms=frozenset(kept), refused=tuple(refused))


def mark_kept(study: StudySpec, runs: Sequence[Run]) -> list[Run]:
    """Return the runs. The first run of each arm that `choose_kept` chooses gets `keep_epochs`."""
    kept = choose_kept(study, [run for run in runs if run.is_first]).arms
    return [replace(run, keep_epochs=True) if run.is_first and run.arm.name in kept else run for run in runs]


def warn_of_unkept(
    study: StudySpec, runs: Sequence[Run], lacks_weights: Callable[[Run], bool]
) -> Iterator[str]:
    """Yield a sentence for each reason why a study with `keep: epochs` does not have what it asks for.

    `lacks_weights` says whether a run is already trained and the folder lacks its parameters of every epoch.
    """
    yield from choose_kept(study, [run for run in runs if run.is_first]).refused
    if lacking := [run.arm.name for run in runs if run.keep_epochs and lacks_weights(run)]:
        yield (
            f"{study.locate('keep')}: the folder lacks the weights of every epoch of {format_list(lacking)}. "
            "They were trained before the study had this key, or on another host. With --fresh, they are "
            "trained again"
        )


def _count_bytes(study: StudySpec, run: Run) -> int:
    facts = study.dataset.facts
    shape = facts.compute_shape(run.recipe.input_size)
    network = models.sketch(run.arm.model, run.keywords, input_shape=shape, classes=facts.classes)
    return sum(tensor.nbytes for tensor in network.state_dict().values())
