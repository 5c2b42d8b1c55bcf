"""Estimate by simulation how many seeds a study with several looks at its results will take."""

from collections.abc import Iterator

from ablate.design.designs import Layout
from ablate.experiment.contrasts import list_contrasts
from ablate.formatting import format_list, format_points
from ablate.study.seed_looks import SeedLooks
from ablate.study.spec import StudySpec


def describe_expected_seeds(study: StudySpec, layout: Layout) -> Iterator[str]:
    """Yield sentences about the looks and the expected number of runs.

    If the number of seeds is fixed, yield nothing. The simulation needs the standard deviation of differences
    over seeds, which is unknown before the study. This standard deviation is taken from published studies of
    LeNets on the same data set. If there are no such studies, it is assumed to be as large as the margin.
    """
    if not isinstance(study.seeds, SeedLooks):
        return
    from ablate.stats.looks import plan_looks  # late, because scipy.stats takes a third of a second to import
    from ablate.stats.stopping import simulate

    decision = study.decision
    searching = study.design == "search"  # the arms of a search are not known yet
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
    for effect, name in (
        (0, "all true differences are zero"),
        (1, "they equal the margin"),
        (2, "they are twice the margin"),
    ):
        mean = simulate(effect * decision.margin, spread, looks, decision, contrasts).seeds.mean()
        told.append(f"{mean:.0f} seeds ({mean * arms:.0f} runs) if {name}")
    yield (
        f"on average {format_list(told)}. This assumes that the standard deviation of differences over seeds "
        f"is {known} on {study.dataset}"
    )
