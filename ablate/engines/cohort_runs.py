"""Train a list of runs in one cohort. When a run ends, the next waiting run takes its place."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.augmentation import Augmentation, Draws
from ablate.engines.cohort import Cohort
from ablate.engines.predictions import count_correct
from ablate.engines.training import Course, Trained, make_curve


@dataclass(frozen=True, kw_only=True)
class FinishedRun(Trained):
    """A run that has ended, with its record, its predictions and its trained parameters."""

    run: Run
    state: dict[str, Tensor]
    """The trained parameters, as a `state_dict` on the CPU."""


def train_together(
    runs: Sequence[Run], dataset: Dataset, *, validation: int, places: int
) -> Iterator[FinishedRun]:
    """Train runs together, at most `places` at the same time. Yield each run when it ends.

    `make_cohort_key` must return the same for all runs.

    When a run ends, the next waiting run takes its place. So runs in one cohort can be in different epochs.

    It is unknown how much of the cohort's time one run takes. So `train_seconds` in a run's record is the
    time of the whole cohort, and `examples_per_second` is the run's number of examples divided by this time.
    """
    waiting = deque(runs)
    members: dict[int, _Member] = {}
    device = dataset.images.device
    examples = Course(runs[0], dataset, validation=validation).examples_per_epoch
    cohort = Cohort(runs[0], dataset, examples=examples, places=places)
    held_out = torch.zeros(places, validation, dtype=torch.int64, device=device)
    test = torch.arange(len(dataset.test_labels), device=device).expand(places, -1)
    while waiting or members:
        for place in range(places):
            if waiting and place not in members:
                members[place] = _Member(waiting.popleft(), dataset, validation)
                cohort.seat(place, members[place].course.run)
                members[place].course.add_weights(partial(cohort.state, place))
                held_out[place] = members[place].course.validation_indices.to(device)
        for place, member in members.items():
            cohort.load(place, *member.ahead)
        started = time.perf_counter()
        totals = cohort.epoch()
        for member in members.values():  # the device is still working: use the time to draw the next epoch
            member.draw()
        values = totals.tolist()  # waits for the device, once per epoch of training
        seconds = time.perf_counter() - started
        courses = {place: member.course for place, member in members.items()}
        for place, course in courses.items():
            curve = make_curve(course.epochs, cohort.marks, [mark[place] for mark in values])
            course.add_epoch(curve, seconds)
            course.add_weights(partial(cohort.state, place))
        if any(course.wants_validation for course in courses.values()):
            _validate(cohort, courses, dataset, held_out)
        tested: dict[int, Tensor] = {}
        if any(course.wants_test for course in courses.values()):
            tested = dict(enumerate(cohort.predict(dataset.test_images, test)))
        for place, course in courses.items():
            # `pop` removes the scores, so that the device's memory is free during the next epoch.
            scores = tested.pop(place, None)
            if course.ended:
                scores = scores if course.wants_test else None
                trained = course.end(f"cohort of {places}", scores, dataset.test_labels)
                state = cohort.state(place)
                del members[place]
                cohort.vacate(place)
                yield FinishedRun(run=course.run, state=state, **vars(trained))


def _validate(cohort: Cohort, courses: Mapping[int, Course], dataset: Dataset, held_out: Tensor) -> None:
    """Evaluate each place's network on its run's validation images.

    `held_out`, `(places, validation)`, has the indices of these images.
    """
    scores, labels = cohort.predict(dataset.images, held_out), dataset.labels[held_out]
    correct = count_correct(scores, labels).tolist()
    for place, course in courses.items():
        if course.wants_validation:
            course.add_validation(correct[place] / held_out.shape[1], scores[place], labels[place])


class _Member:
    """A run that has a place in the cohort: the run's state, and the random numbers of its next epoch."""

    def __init__(self, run: Run, dataset: Dataset, validation: int) -> None:
        self.course = Course(run, dataset, validation=validation)
        self._augmentation = Augmentation(run.recipe.augmentation, run.seed)
        self.ahead = self._draw_epoch(0)

    def draw(self) -> None:
        """Draw the order and the augmentation of the next epoch, unless the current epoch is the last."""
        if (epoch := self.course.epochs + 1) < self.course.run.recipe.epochs:
            self.ahead = self._draw_epoch(epoch)

    def _draw_epoch(self, epoch: int) -> tuple[Tensor, list[Draws], Sequence[float]]:
        order = self.course.draw_order()
        # Draw the augmentation batch by batch, as the torch loop engine does.
        batches = order.split(self.course.run.recipe.batch_size)
        draws = [self._augmentation.draw(len(batch)) for batch in batches]
        return order, draws, self.course.list_rates(epoch)
