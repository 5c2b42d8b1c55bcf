"""A search from its first generation to its finalists: what is to run next, and what came of it."""

from collections.abc import Callable, Iterator

from ablate.design.designs import Layout, with_finalists
from ablate.design.runs import Run, setting_name
from ablate.records.provenance import Finalist, SearchedCandidate, SearchFacts
from ablate.records.run_records import RunRecord
from ablate.search.candidates import Candidate, Tried, finalists, named, run_of
from ablate.search.sampler import importance, propose
from ablate.study.spec import StudySpec


class Generations:
    """The candidates of one search; empty, and so is all it tells, for a study of another design."""

    def __init__(self, study: StudySpec) -> None:
        self._study = study
        self._tried: list[Tried] = []
        self._found: list[Candidate] = []

    def waves(self, recorded: Callable[[Run], RunRecord]) -> Iterator[list[Run]]:
        """The runs of each generation, proposed from the finished ones; all must be on record by the next."""
        while (left := self._study.search.candidates - len(self._tried)) > 0:
            generation = self._tried[-1].generation + 1 if self._tried else 0
            size = min(left, self._study.search.generation)
            candidates = propose(self._study, self._tried, generation, size)
            if not candidates:
                break
            runs = [run_of(candidate, self._tried) for candidate in candidates]
            yield runs
            self._tried += [
                Tried(candidate=candidate, record=recorded(run), generation=generation)
                for candidate, run in zip(candidates, runs, strict=True)
            ]
        self._found = finalists(self._study, self._tried)

    def layout(self) -> Layout:
        """The baseline and the finalists, once all generations are done."""
        return with_finalists(self._study, [found.arm for found in named(self._found).values()])

    def facts(self) -> SearchFacts | None:
        """What was tried, in order, what was confirmed, and what seemed to matter; None for other designs."""
        if not self._tried:
            return None
        return SearchFacts(
            candidates=tuple(
                SearchedCandidate(
                    arm=one.candidate.arm.name,
                    setting=setting_name(one.candidate.setting),
                    generation=one.generation,
                    flops_per_example=one.candidate.flops_per_example,
                )
                for one in self._tried
            ),
            finalists={
                name: Finalist(arm=found.arm.name, setting=setting_name(found.setting))
                for name, found in zip(named(self._found), self._found, strict=True)
            },
            importance=tuple(importance(self._study, self._tried)),
        )
