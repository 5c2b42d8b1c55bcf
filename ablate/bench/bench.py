"""The measurement of `ablate bench`: how fast ablate trains, compared with Dive into Deep Learning (D2L)."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import torch

from ablate.bench.contenders import (
    CPU,
    EPOCH,
    LENET,
    ONE_CORE,
    CohortBlock,
    Contender,
    Extent,
    list_cpu_contenders,
    list_gpu_contenders,
    list_one_core_contenders,
    make_run,
    measure_arithmetic_rate,
)
from ablate.bench.peer import Epoch, Peer, lay_out_files
from ablate.bench.results import Result, compute_results
from ablate.bench.rounds import Round, measure, start_round
from ablate.bench.whole import count_examples, run_study
from ablate.cores import count_cores
from ablate.data import loading
from ablate.data.by_torchvision import has_torchvision
from ablate.data.datasets import DATASETS, find_dataset
from ablate.devices.device import is_accelerator, read_name
from ablate.engines.lanes import reason_against
from ablate.execution.executor import COHORT_PLACES, Conditions
from ablate.execution.workers import LocalProcesses
from ablate.experiment.events import Advanced
from ablate.timing import machine

PEER = "D2L's loop"
FULL = Extent(blocks=8, images=60_000, test_images=10_000, block_seconds=1.0, runs_a_job=3, epochs_around=2)
QUICK = Extent(blocks=3, images=2_560, test_images=512, block_seconds=0.05, runs_a_job=1, epochs_around=1)
END_TO_END = {"auto": (15.0, 20.0), "loop": (3.0, 3.5)}
"""How many times as fast as D2L's loop a whole `ablate run` should be on two CPU cores.

Maps each engine to two speed ratios. The first ratio is required. The second, higher ratio is the aim.
"""


def choose_extent(*, quick: bool, blocks: int | None) -> Extent:
    """Choose how much the bench measures. If `blocks` is given, it replaces the number of timing blocks."""
    chosen = QUICK if quick else FULL
    return chosen if blocks is None else replace(chosen, blocks=blocks)


def describe_hardware(device: torch.device) -> str:
    """Name the device and count the cores. Compare two speeds only if this text is equal for both."""
    return f"{read_name(device)}, {count_cores()} cores"


class Bench:
    """One execution of `ablate bench`."""

    def __init__(
        self,
        extent: Extent,
        device: torch.device,
        data_root: Path | None,
        study_file: Path | None,
        engine: str,
    ) -> None:
        """Set up the measurement.

        Args:
            extent: how much to measure.
            device: the device that trains.
            data_root: the folder with Fashion-MNIST. If it is None, random noise replaces the images.
            study_file: the study file with which a whole `ablate run` is measured. If it is None, this
                measurement is left out.
            engine: the engine (training code) for the runs of this study: `auto` or `loop`.
        """
        self._extent, self._device, self._data_root = extent, device, data_root
        self._study_file, self._engine = study_file, engine
        self._cores = count_cores()
        self._open = ExitStack()
        self._rounds: list[Round] = []
        self._epochs: list[Epoch] = []
        self._limit = 0.0

    def events(self) -> Iterator[Advanced]:
        """Take all measurements. Yield an event about the progress after each measurement.

        Raises:
            AblateError: D2L's loop, a run or the study failed.
        """
        yield _event("warm up", 0, 1, "workers", "starting")
        wanted = self._extent.blocks
        self._rounds = [start_round(contenders, 2 * wanted) for contenders in self._contenders()]
        everyone = [contender for each in self._rounds for contender in each.contenders]
        for done, contender in enumerate(everyone, start=1):
            contender.train()
            yield _event("warm up", done, len(everyone), contender.name, "ready")
        self._epochs.clear()
        done = block = 0
        # Repeat blocks that other programs disturbed, but measure at most twice as many blocks as wanted.
        while done < wanted and block < 2 * wanted:
            # Other programs can slow down a measurement of the arithmetic rate. So the highest rate is kept.
            self._limit = max(self._limit, measure_arithmetic_rate(self._device))
            before = [len(each.measured) for each in self._rounds]
            for each in self._rounds:
                by_name = {contender.name: contender for contender in each.contenders}
                for number, position, name in islice(each.order, len(by_name) + 1):
                    each.measured.append(measure(by_name[name], number, position))
            new = [b for each, n in zip(self._rounds, before, strict=True) for b in each.measured[n:]]
            disturbed = any(block.disturbed for block in new)
            done, block = done + (not disturbed), block + 1
            yield _event("measure", done, wanted, f"block {block}", "disturbed" if disturbed else "clean")
        if self._study_file is not None:
            yield from self._end_to_end(self._study_file)

    def close(self) -> None:
        """End all processes, and delete the temporary files."""
        self._open.close()

    def results(self) -> list[Result]:
        """Compute the throughput of each contender (way to train), and its ratio to the reference."""
        rows = [row for each in self._rounds for row in compute_results(each.contenders, each.measured)]
        peer = self._rounds[0].contenders[0]
        epochs = [block for block in self._rounds[0].measured if block.arm == PEER]
        clock = replace(peer, name="by D2L's own clock", covers="copy, step and running metrics only")
        steps = [
            replace(block, arm=clock.name, seconds=epoch.step_seconds)
            for block, epoch in zip(epochs, self._epochs, strict=False)
        ]
        return [*rows, *compute_results([clock], steps)]

    def as_json(self) -> str:
        """Return a JSON text with the environment, the results, the remarks and the timing blocks."""
        described = asdict(machine.describe_machine(self._device, self._cores))
        data_read = str(self._data_root) if self._data_root else "noise in Fashion-MNIST's shape"
        facts = {
            "environment": {
                **described,
                "hardware": describe_hardware(self._device),
                "data": data_read,
                "limit_flops_per_second": self._limit,
            },
            "extent": asdict(self._extent),
            "rows": [asdict(row) for row in self.results()],
            "remarks": self.remarks(),
            "blocks": [asdict(block) for each in self._rounds for block in each.measured],
        }
        return f"{json.dumps(facts, indent=2, ensure_ascii=False)}\n"

    def remarks(self) -> list[str]:
        """List sentences that explain the results and their limits."""
        described = machine.describe_machine(self._device, self._cores)
        blocks = [block for each in self._rounds for block in each.measured]
        disturbed = sum(block.disturbed for block in blocks)
        sentences = [
            f"Measured on {describe_hardware(self._device)}, torch {described.packages['torch']}, "
            f"Python {described.python}.",
            "Throughput is the number of training examples per second of wall time. To compute a ratio, each "
            "timing block is compared with the reference's timing blocks that run before and after it. "
            f"Other programs disturbed {disturbed} of {len(blocks)} timing blocks. The results leave these "
            "blocks out.",
        ]
        if self._data_root is None:
            sentences.append(
                "Fashion-MNIST is not on this machine. Random noise of the same shape and size was used "
                "instead, because the time of a training step does not depend on the pixels. The runs of a "
                "study in parallel processes were not measured."
            )
        if not has_torchvision():
            sentences.append(
                "torchvision is not installed. So ablate's own code reads the images for D2L's loop. It "
                "reads each image by the same steps as torchvision."
            )
        if self._extent.images < FULL.images:
            sentences.append(f"Epochs have only {self._extent.images:,} images: do not quote these results.")
        shares = [
            f"{row.name} {row.flops_per_second / 1e9:.0f} ({row.flops_per_second / self._limit:.0%})"
            for row in self.results()
            if row.flops_per_second
        ]
        if shares:
            sentences.append(
                f"One core multiplies large fp32 matrices at {self._limit / 1e9:.0f} GFLOP/s. Training steps "
                f"reach these GFLOP/s (the share of the matrix rate in parentheses): {'; '.join(shares)}."
            )
        reason = self._no_lanes()
        if reason:
            sentences.append(f"The lanes engine was not measured: {reason}.")
        return [*sentences, *self._on_memory()]

    def _contenders(self) -> Iterator[list[Contender]]:
        """Yield a list of contenders (ways to train) for each round of measurements.

        The contenders of a round are measured alternately. The first one is the reference for the others.
        """
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="ablate-bench-")))
        lay_out_files(self._data_root, folder)
        peer = Peer(folder, self._extent.images, self._extent.test_images, self._device)
        self._open.callback(peer.close)

        def train_epoch() -> int:
            self._epochs.append(peer.epoch())
            return self._epochs[-1].examples

        first = Contender(name=PEER, kind="one run alone", covers=EPOCH, train=train_epoch)
        dataset = self._dataset()
        if is_accelerator(self._device):
            yield [first, *list_gpu_contenders(dataset, COHORT_PLACES[-1])]
            return
        workers = None
        if self._data_root is not None:
            conditions = Conditions(
                dataset=find_dataset("fashion_mnist"), data_root=self._data_root, validation=0, device="cpu"
            )
            workers = LocalProcesses(conditions, self._cores)
            self._open.callback(workers.close)
        yield [first, *list_cpu_contenders(self._extent, dataset, workers, self._cores)]
        for network in ONE_CORE:
            yield list(list_one_core_contenders(network, self._extent, dataset))

    def _dataset(self) -> loading.Dataset:
        facts = DATASETS["fashion_mnist"]
        if self._data_root is not None:
            whole = loading.load(find_dataset("fashion_mnist"), self._data_root, self._device)
        else:
            noise = loading.make_noise(facts, images=facts.train_images).to(self._device)
            whole = replace(noise, test_images=noise.images, test_labels=noise.labels)
        few, tested = slice(self._extent.images), slice(self._extent.test_images)
        return replace(
            whole,
            images=whole.images[few],
            labels=whole.labels[few],
            test_images=whole.test_images[tested],
            test_labels=whole.test_labels[tested],
        )

    def _end_to_end(self, study_file: Path) -> Iterator[Advanced]:
        """Measure one whole `ablate run`. Measure epochs of D2L's loop before and after the command."""
        around = replace(self._rounds[0].contenders[0], name=f"{PEER} around it")
        must, aim = END_TO_END[self._engine] if not is_accelerator(self._device) else (None, None)
        out = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="ablate-bench-")))
        engine = " (loop)" if self._engine == "loop" else ""

        folders: list[Path] = []

        def run_command() -> int:
            folders.append(run_study(study_file, self._data_root, self._device, self._engine, out))
            return 1  # replaced below by the number of examples, because counting them must not be timed

        whole = Contender(
            name=f"ablate run {study_file.stem}{engine}",
            kind="end to end",
            covers="the whole command, from nothing to its report",
            train=run_command,
            must=must,
            aim=aim,
        )
        each = start_round([around, whole], 1)
        self._rounds.append(each)
        times = self._extent.epochs_around
        order = [around] * times + [whole] + [around] * times
        for position, contender in enumerate(order):
            yield _event("end to end", position, len(order), contender.name, "running")
            block = measure(contender, 0, position)
            if contender is whole:
                block = replace(block, examples=count_examples(folders[-1]))
            each.measured.append(block)
        yield _event("end to end", len(order), len(order), whole.name, "done")

    def _no_lanes(self) -> str | None:
        return None if is_accelerator(self._device) else reason_against(make_run(LENET), self._dataset(), CPU)

    def _on_memory(self) -> Iterator[str]:
        """For each cohort (runs that train together), compare its memory with the least that a step needs."""
        for contender in self._rounds[0].contenders if is_accelerator(self._device) else ():
            if isinstance(together := contender.train, CohortBlock):
                extra, least = together.extra_bytes, together.least_bytes
                yield (
                    f"{contender.name} uses {extra / 1e6:,.0f} MB of GPU memory in addition to data and "
                    f"models. This is {extra / least:.2f} times the least memory that a step needs (limit 2, "
                    "aim 1.3)."
                )


def _event(phase: str, done: int, total: int, who: str, detail: str) -> Advanced:
    return Advanced(phase=phase, done=done, total=total, arm=who, detail=detail)
