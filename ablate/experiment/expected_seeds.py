"""How many seeds a study with several looks will take, by simulation."""

from collections.abc import Iterator

from ablate.design.designs import Layout
from ablate.experiment.contrasts import list_contrasts
from ablate.formatting import format_list, format_points
from ablate.study.seed_looks import SeedLooks
from ablate.study.spec import StudySpec


def describe_expected_seeds(study: StudySpec, layout: Layout) -> Iterator[str]:
    """Yield sentences about the looks and the mean number of runs. If the seeds are fixed, yield nothing.

    The spread of differences over seeds is not known before the study. It is taken from published studies of
    LeNets on the same data set. If there are none, the spread is assumed to be as large as the margin.
    """
    if not isinstance(study.seeds, SeedLooks):
        return
    from ablate.stats.looks import plan_looks  # late, because scipy.stats takes a third of a second to import
    from ablate.stats.stopping import simulate

    decision = study.decision
    searching = study.design == "search"  # its arms are not known yet
    arms = 1 + study.search.finalists if searching else len(layout.arms)
    contrasts = study.search.finalists if searching else len(list_contrasts(study, layout))
    looks = plan_looks(study.seeds, decision.alpha)
    yield (
        f"looks after {format_list([str(look.seeds) for look in looks])} seeds; a comparison stops when "
        f"it is decided. At most {looks[-1].seeds * arms} confirmation runs"
    )
    typical = study.dataset.facts.typical_spread
    spread = decision.margin if typical is None else typical
    known = "as large as the margin" if typical is None else f"{format_points(spread)}, as between LeNets"
    told = []
    for effect, name in ((0, "no difference"), (1, "a difference of the margin"), (2, "twice the margin")):
        mean = simulate(effect * decision.margin, spread, looks, decision, contrasts).seeds.mean()
        told.append(f"{mean:.0f} seeds ({mean * arms:.0f} runs) for {name}")
    yield (
        f"on average {format_list(told)}, if all comparisons have the same true difference and the standard "
        f"deviation of differences over seeds is {known} on {study.dataset}"
    )
