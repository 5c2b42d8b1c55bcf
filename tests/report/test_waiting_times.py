"""Reports show how long a first step and an inference take, if the study measured it."""

import json
from pathlib import Path
from unittest.mock import Mock

from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
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
    assert "| baseline | 7,250.000 | 0.210 | 40,123 |" in told
    assert "| pooling=max | – | – | – |" in told
    assert "<td>7,250.000</td><td>0.210</td><td>40,123</td>" in (folder / "report.html").read_text()
    assert "inference_seconds" in (folder / "tables" / "arms.csv").read_text().splitlines()[0]


def test_the_times_are_measured_when_throughput_is_measured_later(small) -> None:
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")

    def measure(known: ArmCost, blocks: int) -> ArmCost:
        study = small(f"timing.blocks={blocks}")
        run = Run(phase=Phase.CONFIRM, arm=lay_out(study).arms[0], setting={}, seed=0)
        return Throughput(study, [run], conditions, Mock(), threads=1).measure_cost(run, known)

    untimed = measure(ArmCost(), 0)
    assert untimed.parameters == 61_706
    assert untimed.inference_seconds is untimed.first_step_seconds is None
    assert measure(untimed, 0) is untimed
    timed = measure(untimed, 3)
    assert timed.first_step_seconds > 0
    assert 0 < 1 / timed.inference_examples_per_second < timed.inference_seconds
    assert measure(timed, 3) is timed
    assert measure(timed, 0) is timed
