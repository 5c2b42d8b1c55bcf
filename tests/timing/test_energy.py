"""Energy is counted in timing blocks where the machine counts it, and is unknown elsewhere."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
import torch

from ablate.records.tables import make_frame, read_table, write_table
from ablate.report.checklist import list_questions
from ablate.report.compute import describe_compute, describe_energy
from ablate.report.evidence import gather
from ablate.report.latex.writer import write_latex
from ablate.report.writer import write
from ablate.stats.throughput import summarise_throughput
from ablate.timing import blocks, energy
from tests.report.test_writer import write_small_folder

CPU = torch.device("cpu")


class Monitor:
    """A zeus monitor whose counters have fixed values."""

    def __init__(self, gpu_indices=(), gpu=None, cpu=None, dram=None) -> None:
        self.gpu_indices, self.cpu_indices = list(gpu_indices), list(cpu or ())
        self.found = SimpleNamespace(gpu_energy=gpu or {}, cpu_energy=cpu, dram_energy=dram)
        self.windows: list[str] = []

    def begin_window(self, key: str, *, sync_execution: bool, restart: bool) -> None:
        assert not sync_execution
        assert restart
        self.windows.append(key)

    def end_window(self, key: str, *, sync_execution: bool) -> SimpleNamespace:
        assert self.windows[-1] == key
        return self.found


def test_a_block_has_the_joules_of_processors_memory_and_gpu() -> None:
    counter = energy.EnergyCounter(Monitor(gpu={0: 4.0}, cpu={0: 1.0, 1: 2.0}, dram={0: 0.5}))
    block = blocks.measure_block("a", lambda count: count, 5, CPU, block=0, position=0, counter=counter)
    assert block.joules == 7.5
    assert blocks.measure_block("a", lambda count: count, 5, CPU, block=0, position=0).joules is None


def test_counters_that_do_not_advance_have_counted_nothing() -> None:
    counter = energy.EnergyCounter(Monitor(gpu={0: 0.0}))
    counter.start()
    assert counter.stop() is None


@pytest.mark.parametrize(
    ("device", "gpus", "cpu", "found"),
    [
        ("cpu", 0, {0: 1.0}, True), ("cpu", 1, {0: 1.0}, True), ("cpu", 1, None, False),
        ("cuda", 1, None, True), ("cuda", 0, {0: 1.0}, False), ("mps", 0, {0: 1.0}, False),
    ],
)  # fmt: skip
def test_a_counter_counts_at_least_the_device_that_trains(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, cpu: dict[int, float] | None, found: bool
) -> None:
    asked = []

    def monitor(gpu_indices: list[int]) -> Monitor:
        asked.append(gpu_indices)
        return Monitor(gpu_indices, cpu=cpu)

    module = ModuleType("zeus.monitor")
    module.ZeusMonitor = monitor
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    monkeypatch.setattr(energy, "_count_gpus", lambda: gpus)
    assert (energy.find_counter(torch.device(device)) is not None) == found
    assert all(indices == [] for indices in asked if device == "cpu")


def test_without_zeus_the_energy_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    assert energy.find_counter(CPU) is None


def make_timing(joules: float | None) -> pd.DataFrame:
    rows = [
        {"arm": arm, "block": block, "position": position, "examples": 100, "seconds": 0.1,
         "disturbed": block == 3, "joules": None if joules is None else joules * (9 if block == 3 else 1 + (arm == "arm"))}
        for block in range(4) for position, arm in enumerate(("base", "arm", "base"))
    ]  # fmt: skip
    return make_frame("timing", rows)


def test_the_energy_of_an_arm_is_the_median_of_its_undisturbed_blocks() -> None:
    found = summarise_throughput(make_timing(2.0), ["base", "arm"], 0.95)
    assert found["base"]["joules_per_example"] == pytest.approx(0.02)
    assert found["arm"]["joules_per_example"] == pytest.approx(0.04)
    assert "joules_per_example" not in summarise_throughput(make_timing(None), ["base"], 0.95)["base"]


def test_a_file_has_the_column_only_if_energy_was_counted(tmp_path: Path) -> None:
    for joules, name in ((None, "without.csv"), (2.0, "with.csv")):
        write_table(make_timing(joules), tmp_path / name)
        pd.testing.assert_frame_equal(read_table("timing", tmp_path / name), make_timing(joules))
    assert "joules" not in (tmp_path / "without.csv").read_text()
    assert "joules" in (tmp_path / "with.csv").read_text()


def test_reports_latex_and_checklist_show_energy_where_it_was_counted(tmp_path: Path, small) -> None:
    folder = write_small_folder(tmp_path / "small", small())
    write(folder)
    assert "mJ" not in (folder / "report.md").read_text()
    assert "joules" not in (folder / "tables" / "arms.csv").read_text() + (folder / "report.html").read_text()
    assert describe_energy(gather(folder)) is None
    timing = read_table("timing", folder / "tables" / "timing.csv")
    write_table(timing.assign(joules=timing["examples"] * 0.0125), folder / "tables" / "timing.csv")
    write(folder)
    assert "| mJ/example |\n|---|" in (folder / "report.md").read_text()
    assert "| 12.500 |\n" in (folder / "report.md").read_text()
    assert "<th>mJ/example</th>" in (folder / "report.html").read_text()
    assert "joules_per_example" in (folder / "tables" / "arms.csv").read_text().splitlines()[0]
    write_latex(folder, tmp_path / "latex", costs=True)
    written = "".join(path.read_text() for path in (tmp_path / "latex").glob("*.tex"))
    assert "mJ/image" in written
    assert "12.5" in written
    told = describe_energy(gather(folder))
    assert told is not None
    assert "12.5 mJ (" in told
    (answer,) = [q.answer for q in list_questions(gather(folder), has_networks=False) if "energy" in q.asked]
    assert answer == told
    assert "The energy was not measured" not in describe_compute(gather(folder))


def test_zeus_reads_the_counters_of_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated tree of /sys/class/powercap, which zeus reads."""
    rapl = pytest.importorskip("zeus.device.cpu.rapl")
    zone = tmp_path / "intel-rapl" / "intel-rapl:0"
    (zone / "intel-rapl:0:0").mkdir(parents=True)
    for place, name, joules in ((zone, "package-0", 10), (zone / "intel-rapl:0:0", "dram", 1)):
        for file, value in (("name", name), ("energy_uj", joules * 10**6), ("max_energy_range_uj", 2**40)):
            (place / file).write_text(f"{value}\n")
    monkeypatch.setattr(rapl, "RAPL_DIR", str(tmp_path / "intel-rapl"))
    monkeypatch.setattr(rapl.RAPLFile, "wraparound_tracker", SimpleNamespace(get_num_wraparounds=lambda: 0))
    rapl.rapl_is_available.cache_clear()
    counter = energy.find_counter(CPU)
    assert counter is not None
    counter.start()
    (zone / "energy_uj").write_text(f"{13 * 10**6}\n")
    (zone / "intel-rapl:0:0" / "energy_uj").write_text(f"{15 * 10**5}\n")
    assert counter.stop() == pytest.approx(3.5)
