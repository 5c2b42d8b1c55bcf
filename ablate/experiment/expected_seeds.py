"""Estimate by simulation how many seeds a study needs if it can stop early.

Such a study has several looks: it tests its results after some of the seeds, and then stops or trains more.
"""

from collections.abc import Iterator

from ablate.design.designs import Layout
from ablate.experiment.contrasts import list_contrasts
from ablate.formatting import format_list, format_points
from ablate.study.seed_looks import SeedLooks
from ablate.study.spec import StudySpec


def describe_expected_seeds(study: StudySpec, layout: Layout) -> Iterator[str]:
    """Yield sentences about the looks and the expected number of runs.

    If the number of seeds is fixed, yield nothing. The simulation needs to know how much the difference of
    two arms varies from seed to seed, which is unknown before the study. So it uses the standard deviation
    from published studies of LeNets on the same data set. If there are no such studies, it uses the margin.
    """
    if not isinstance(study.seeds, SeedLooks):
        return
    # Import these modules only here, because they import scipy.stats, which takes a third of a second.
    from ablate.stats.looks import plan_looks
    from ablate.stats.stopping import simulate

    decision = study.decision
    searching = study.design == "search"  # the arms of a search are not known yet
    arms = 1 + study.search.finalists if searching else len(layout.arms)
    contrasts = study.search.finalists if searching else len(list_contrasts(study, layout))
    looks = plan_looks(study.seeds, decision.alpha)
    yield (
        f"looks (tests of the results) after {format_list([str(look.seeds) for look in looks])} seeds; a "
        f"comparison stops when it is decided. The study has at most {looks[-1].seeds * arms} confirmation "
        "runs"
    )
    typical = study.dataset.facts.typical_spread
    spread = decision.margin if typical is None else typical
    known = (
        "as large as the margin" if typical is None else f"{format_points(spread)}, as for pairs of LeNets"
    )
    told = []
    for effect, name in (
        (0, "all true differences are zero"),
        (1, "all true differences equal the margin"),
        (2, "all true differences are twice the margin"),
    ):
        mean = simulate(effect * decision.margin, spread, looks, decision, contrasts).seeds.mean()
        told.append(f"{mean:.0f} seeds ({mean * arms:.0f} runs) if {name}")
    yield (
        f"on average, the study takes {format_list(told)}. This assumes that the standard deviation of "
        f"differences over seeds is {known} on {study.dataset}"
    )
