"""Reports show how long a first step and an inference take, if the study measured it."""

import json
from pathlib import Path
from unittest.mock import Mock

from torch import Tensor

from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.loop import LoopTrainer
from ablate.execution.executor import Conditions
from ablate.experiment.time_phase import Throughput
from ablate.records.provenance import ArmCost
from ablate.records.run_records import Phase
from ablate.report.writer import write
from tests.report.test_writer import write_small_folder

HEADING = "## Waiting times"


def test_a_report_has_the_table_only_if_the_times_were_measured(tmp_path: Path, small) -> None:
    folder = write_small_folder(tmp_path / "small", small())
    write(folder)
    assert HEADING not in (folder / "report.md").read_text()
    assert "inference" not in (folder / "tables" / "arms.csv").read_text()

    environment = folder / "environment.json"
    content = json.loads(environment.read_text())
    content["arms"]["baseline"] |= {
        "first_step_seconds": 7.25,
        "inference_seconds": 0.00021,
        "inference_examples_per_second": 40_123.4,
    }
    environment.write_text(json.dumps(content))
    write(folder)
    told = (folder / "report.md").read_text()
    assert HEADING in told
    assert "| baseline | 7,250.0 | 0.210 | 40,123 |" in told
    assert "| pooling=max | – | – | – |" in told
    assert "<td>7,250.0</td><td>0.210</td><td>40,123</td>" in (folder / "report.html").read_text()
    assert "inference_seconds" in (folder / "tables" / "arms.csv").read_text().splitlines()[0]


def test_the_times_are_measured_in_the_timing_phase_alone(small) -> None:
    """Not when a preliminary report needs the costs, because other runs then train beside it."""
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")
    study = small("timing.blocks=1", "timing.block_seconds=0.01")
    runs = [Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0) for arm in lay_out(study).arms]
    record = Mock(blocks={}, find_timing_machine=lambda machine: machine)
    record.add = record.blocks.update
    throughput = Throughput(study, runs, conditions, record, threads=1)

    early = throughput.measure_cost(runs[0], ArmCost())
    assert early.parameters == 61_706
    assert early.inference_seconds is early.first_step_seconds is None
    assert throughput.measure_cost(runs[0], early) == early
    assert len(list(throughput.measure())) == 3
    timed = throughput.measure_cost(runs[0], early)
    assert timed.first_step_seconds > 0
    assert 0 < 1 / timed.inference_examples_per_second < timed.inference_seconds
    # A later command measures nothing, and keeps the times.
    later = Throughput(study, runs, conditions, record, threads=1)
    assert list(later.measure()) == []
    assert later.measure_cost(runs[0], timed) == timed


def test_a_network_that_needs_several_images_is_timed_without_a_latency(small, monkeypatch) -> None:
    """As a network with `BatchNorm1d` trains only on two images or more, and others cannot classify one."""
    sizes = []

    def forward(self: LoopTrainer, images: Tensor) -> None:
        sizes.append(len(images))
        assert len(images) > 1, "one image"

    monkeypatch.setattr(
        LoopTrainer,
        "__init__",
        spy(
            LoopTrainer.__init__,
            lambda made: made.model.register_forward_pre_hook(lambda _, given: forward(made, given[0])),
        ),
    )
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")
    study = small("timing.blocks=1", "timing.block_seconds=0.01")
    runs = [Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0) for arm in lay_out(study).arms]
    record = Mock(blocks={}, find_timing_machine=lambda machine: machine)
    record.add = record.blocks.update
    throughput = Throughput(study, runs, conditions, record, threads=1)
    assert len(list(throughput.measure())) == 3
    cost = throughput.measure_cost(runs[0], ArmCost(measured_as=runs[0].key(study, "cpu")))
    assert cost.first_step_seconds > 0
    assert cost.inference_seconds is cost.inference_examples_per_second is None
    assert sizes.count(1) == 2  # one attempt for each arm


def spy(init, after):
    def wrapped(self, *given, **named) -> None:
        init(self, *given, **named)
        after(self)

    return wrapped
