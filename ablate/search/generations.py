"""Generations: list the runs that a search needs next. When the search has ended, choose its finalists."""

from collections.abc import Callable, Iterator

from ablate.design.designs import Layout, lay_out_finalists
from ablate.design.runs import Run, name_setting
from ablate.records.provenance import Finalist, SearchedCandidate, SearchFacts
from ablate.records.run_records import RunRecord
from ablate.search.candidates import Candidate, TriedCandidate, choose_finalists, make_run, name_finalists
from ablate.search.sampler import estimate_importance, propose
from ablate.study.spec import StudySpec


class Generations:
    """The generations (rounds) of a study's search. If the study is not a search, this object stays empty."""

    def __init__(self, study: StudySpec) -> None:
        self._study = study
        self._tried: list[TriedCandidate] = []
        self._finalists: list[Candidate] = []

    def propose_waves(self, recorded: Callable[[Run], RunRecord]) -> Iterator[list[Run]]:
        """Yield the runs of each generation.

        The caller must record all runs of a generation before it asks for the next generation. `recorded`
        returns the record of a run.
        """
        while (left := self._study.search.candidates - len(self._tried)) > 0:
            generation = self._tried[-1].generation + 1 if self._tried else 0
            size = min(left, self._study.search.generation)
            candidates = propose(self._study, self._tried, generation, size)
            if not candidates:
                break
            runs = [make_run(candidate, self._tried) for candidate in candidates]
            yield runs
            self._tried += [
                TriedCandidate(candidate=candidate, record=recorded(run), generation=generation)
                for candidate, run in zip(candidates, runs, strict=True)
            ]
        self._finalists = choose_finalists(self._study, self._tried)

    def lay_out(self) -> Layout:
        """Return the study's layout: its arms are the baseline and the finalists.

        Call this after all generations are recorded.
        """
        return lay_out_finalists(
            self._study, [found.arm for found in name_finalists(self._finalists).values()]
        )

    def summarise(self) -> SearchFacts | None:
        """Return the candidates in the order of their trials, the finalists, and each factor's importance.

        Return None if no generation has been recorded.
        """
        if not self._tried:
            return None
        return SearchFacts(
            candidates=tuple(
                SearchedCandidate(
                    arm=one.candidate.arm.name,
                    setting=name_setting(one.candidate.setting),
                    generation=one.generation,
                    flops_per_example=one.candidate.flops_per_example,
                )
                for one in self._tried
            ),
            finalists={
                name: Finalist(arm=found.arm.name, setting=name_setting(found.setting))
                for name, found in zip(name_finalists(self._finalists), self._finalists, strict=True)
            },
            importance=tuple(estimate_importance(self._study, self._tried)),
        )
