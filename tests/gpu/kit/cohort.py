"""Train 32 runs in one cohort, and list the kernels that take longest. A part of the kit.

Its arguments are the device, the file for the results, the data set and the number of epochs.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from ablate.data import loading, sources
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.cohort_runs import train_together
from ablate.records.run_records import Phase
from ablate.study.recipe import Recipe

RUNS = 32
PROFILED_IMAGES = 4_096
"""Images of the epoch whose kernels are listed: 16 steps of each run. The steps before a recording count too."""
LISTED_KERNELS = 25


def main() -> int:
    """Train, profile, and write a JSON line for each. Return 1 if a run did not end as complete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", type=torch.device)
    parser.add_argument("results", type=Path)
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--train-images", type=int, help="default: all")
    options = parser.parse_args()
    spec = find_dataset(options.dataset)
    dataset = loading.load(spec, sources.find_root(spec, None, download=False), options.device)
    complete = True
    for epochs in sorted({1, options.epochs}):
        measured = train_cohort(dataset, epochs, options.train_images)
        complete &= measured["complete"] == RUNS
        write(options.results, measured)
    write(options.results, profile_cohort(dataset, options.train_images or PROFILED_IMAGES))
    return int(not complete)


def write(results: Path, line: dict[str, object]) -> None:
    """Write a JSON line to the file of results, and print it."""
    with results.open("a") as stream:
        stream.write(f"{json.dumps(line)}\n")
    print({name: value for name, value in line.items() if name != "kernels"}, flush=True)


def make_runs(epochs: int, train_images: int | None = None) -> list[Run]:
    """Make 32 runs of LeNet-5 with D2L's recipe, each with its own seed and learning rate."""
    return [
        Run(
            phase=Phase.CONFIRM,
            arm=Arm(
                name="lenet",
                model="lenet",
                keywords={},
                recipe=Recipe(epochs=epochs, learning_rate=0.5 + seed / RUNS, train_images=train_images),
                factors={},
            ),
            setting={},
            seed=seed,
        )
        for seed in range(RUNS)
    ]


def train_cohort(dataset: Dataset, epochs: int, train_images: int | None) -> dict[str, object]:
    """Train the runs together, and summarise their records, with start and graph capture in the time."""
    on_gpu = dataset.images.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    finished = list(train_together(make_runs(epochs, train_images), dataset, validation=0, places=RUNS))
    seconds = time.perf_counter() - started
    records = [each.record for each in finished]
    accuracies = [record.test_accuracy for record in records if record.test_accuracy is not None]
    timed = [point.train_seconds for point in records[0].epochs if point.train_seconds is not None]
    trained = RUNS * (train_images or len(dataset.labels))
    return {
        "epochs": epochs,
        "complete": sum(record.status == "complete" for record in records),
        "engine": records[0].engine,
        "seconds": seconds,
        "seconds_of_epochs": timed,
        "examples_per_second": trained / statistics.median(timed),
        "examples_per_second_end_to_end": trained * epochs / seconds,
        "test_accuracy_median": statistics.median(accuracies),
        "test_accuracy_lowest": min(accuracies),
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


def profile_cohort(dataset: Dataset, train_images: int) -> dict[str, object]:
    """List the kernels of a short epoch that take longest on the device, with their number and microseconds."""
    on_gpu = dataset.images.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    runs = make_runs(1, train_images)
    with profile(activities=activities) as watched:
        list(train_together(runs, dataset, validation=0, places=RUNS))
    averages = watched.key_averages()
    # On a GPU, an operation's event repeats the time of its kernels.
    events = [event for event in averages if not on_gpu or event.device_type == DeviceType.CUDA]
    rows = [
        {
            "kernel": event.key[:160],
            "count": event.count,
            "microseconds": event.self_device_time_total if on_gpu else event.self_cpu_time_total,
        }
        for event in events
    ]
    return {
        "profiled_images": train_images,
        "runs": RUNS,
        "graph_launches": sum(event.count for event in averages if event.key == "cudaGraphLaunch"),
        "kernels_in_all": sum(row["count"] for row in rows),
        "microseconds_in_all": sum(row["microseconds"] for row in rows),
        "kernels": sorted(rows, key=lambda row: row["microseconds"], reverse=True)[:LISTED_KERNELS],
    }


if __name__ == "__main__":
    sys.exit(main())
