"""The timing phase: measure the throughput of the arms in alternating blocks, and the cost of each arm."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from ablate.design.runs import Run
from ablate.devices.device import read_name
from ablate.devices.memory import read_allocated_bytes
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import repeat_batches, settle_process
from ablate.execution.executor import Conditions
from ablate.records.provenance import LARGE_BATCH, ArmCost
from ablate.records.record import Record
from ablate.records.run_records import TimingBlock
from ablate.study.spec import StudySpec
from ablate.timing import costs
from ablate.timing.blocks import Steps, alternate, count_steps_per_block, make_steps, measure_block
from ablate.timing.energy import find_counter
from ablate.torch_settings import keep_torch_settings


class Throughput:
    """Measures the throughput and the cost of arms. To do so, the torch loop trains them on all cores."""

    def __init__(
        self,
        study: StudySpec,
        runs: Sequence[Run],
        conditions: Conditions,
        store: Record,
        threads: int,
    ) -> None:
        """Prepare the measurement of `runs`.

        `runs` has one run of each arm. The run of the baseline comes first. If no arm can be timed, `runs`
        is empty.
        """
        self._study = study
        self._runs = {run.arm.name: run for run in runs}
        self._conditions = conditions
        self._device = torch.device(conditions.device)
        self._store = store
        self._threads = threads
        self._waits: dict[str, dict[str, Any]] = {}
        """The waiting times of each arm, as keyword arguments of `ArmCost`."""

    def measure(self) -> Iterator[tuple[int, int, TimingBlock]]:
        """Make every measurement that has no record yet, and measure the waiting times.

        After each one, yield the number of measurements that are done, the number of all measurements, and
        the measured timing block.
        """
        order = self._list_measurements()
        wanted = [entry for entry in order if entry[0] not in self._store.blocks]
        if not wanted:
            return
        settle_process(self._threads)
        names = [name for name in self._runs if name in {name for *_, name in wanted}]
        self._warm_up(self._runs[names[0]])
        steps = {name: self._prepare(self._runs[name]) for name in names}
        block_seconds = self._study.timing.block_seconds
        with keep_torch_settings():  # a network must not change torch's settings for the next network
            counts = {name: count_steps_per_block(steps[name], block_seconds, self._device) for name in steps}
        counter = find_counter(self._device)
        for done, (key, block, position, name) in enumerate(wanted, start=len(order) - len(wanted) + 1):
            with keep_torch_settings():
                measured = measure_block(
                    name,
                    steps[name],
                    counts[name],
                    self._device,
                    block=block,
                    position=position,
                    counter=counter,
                )
            self._store.add({key: measured})
            yield done, len(order), measured

    def is_complete(self) -> bool:
        """Whether every timing block of the study is recorded."""
        return all(key in self._store.blocks for key, *_ in self._list_measurements())

    def list_blocks(self) -> list[TimingBlock]:
        """List the recorded timing blocks that belong to the current arms, machine and settings."""
        return [self._store.blocks[key] for key, *_ in self._list_measurements() if key in self._store.blocks]

    def measure_cost(self, run: Run, known: ArmCost) -> ArmCost:
        """Measure an arm's number of parameters, FLOPs and peak memory, and add its waiting times.

        The waiting times are those that `measure` measured. If it did not run, they are those in `known`. If
        `known` was measured for the same run, nothing is measured again.
        """
        key = run.key(self._study, self._conditions.device)
        waits = self._waits.get(run.arm.name, {})
        if known.measured_as == key:
            return replace(known, **waits)
        dataset = self._conditions.load(run.recipe.input_size)
        before = read_allocated_bytes(self._device)
        trainer = LoopTrainer(run, dataset, self._device)
        batch = torch.arange(min(run.recipe.batch_size, len(dataset.labels)), device=self._device)
        with keep_torch_settings():
            measured = costs.measure_cost(
                trainer.model,
                dataset.images.shape[1:],
                lambda: trainer.step(batch),
                resident=[dataset.images, dataset.labels, dataset.test_images, dataset.test_labels],
                device=self._device,
                before=before,
                compiled=run.recipe.compile,
            )
        return ArmCost(**asdict(measured), **waits, memory_format=trainer.memory_format, measured_as=key)

    def _list_measurements(self) -> list[tuple[str, int, int, str]]:
        """List every measurement in order: its key in the records, its block, its position there, its arm."""
        if not self._runs:
            return []
        # Measurements are comparable only if they come from one machine and the same set of arms. So the
        # keys depend on the machine and on all arms. If one of these changes, timing starts again.
        runs = [run.key(self._study, self._conditions.device) for run in self._runs.values()]
        machine = self._store.find_timing_machine(read_name(self._device))
        seconds = self._study.timing.block_seconds
        order = []
        for block, position, name in alternate(list(self._runs), self._study.timing.blocks):
            identity = json.dumps([runs, machine, self._threads, seconds, block, position])
            order.append((hashlib.sha256(identity.encode()).hexdigest()[:32], block, position, name))
        return order

    def _warm_up(self, run: Run) -> None:
        """Make one step, so that the first measured step does not include the start of torch's libraries."""
        dataset = self._conditions.load(run.recipe.input_size)
        with keep_torch_settings():
            trainer = LoopTrainer(run, dataset, self._device)
            trainer.step(next(repeat_batches(len(dataset.labels), run.recipe.batch_size, self._device)))

    def _prepare(self, run: Run) -> Steps:
        """Build a run's network, measure its waiting times, and return a function that makes steps."""
        dataset = self._conditions.load(run.recipe.input_size)
        trainer = LoopTrainer(run, dataset, self._device)
        batches = repeat_batches(len(dataset.labels), run.recipe.batch_size, self._device)
        steps = make_steps(trainer.step, batches)
        with keep_torch_settings():
            first = costs.measure_call(lambda: steps(1), self._device)
            images = dataset.test_images[:LARGE_BATCH].contiguous(memory_format=trainer.image_format)
            latency = rate = None
            # A user's network can fail with 1 or 1,024 images, although it trains. It has no such times.
            with contextlib.suppress(Exception), trainer.evaluating(self._device) as network:
                latency, rate = costs.measure_inference(network, images)
        self._waits[run.arm.name] = {
            "first_step_seconds": first,
            "inference_seconds": latency,
            "inference_examples_per_second": rate,
        }
        return steps
