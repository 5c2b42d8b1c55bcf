"""The bench compares our throughput with D2L's loop: what it counts, leaves out and reports."""

import gzip
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from ablate.bench import bench, contenders, layers, peer, whole
from ablate.bench.bench import PEER, Bench
from ablate.bench.contenders import CohortBlock, Contender, Extent, count_training_flops, make_run
from ablate.bench.peer import Peer, lay_out_files, open_fashion_mnist
from ablate.bench.results import compute_results, lay_out_sections
from ablate.bench.whole import count_examples
from ablate.cli import doctor
from ablate.cli.main import main
from ablate.data import by_torchvision, official, sources
from ablate.data.datasets import DATASETS
from ablate.data.loading import Dataset
from ablate.engines import lanes_library
from ablate.engines.lanes import reason_against as lanes_reason
from ablate.engines.loop import LoopTrainer
from ablate.errors import AblateError
from ablate.execution import fork_server
from ablate.records.run_records import TimingBlock
from ablate.records.tables import make_frame, write_table
from ablate.study import study_file
from tests.bench.serving import serve_on_one_thread
from tests.commands import ablate
from tests.conftest import SMALL
from tests.cpu import CPU

TINY = Extent(blocks=1, images=512, test_images=100, block_seconds=0.01, runs_a_job=1, epochs_around=1)


@pytest.fixture(autouse=True)
def forked_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """D2L's loop in a process from the fork server, which has imported torch. A new process takes seconds."""
    fork_server.prepare()
    monkeypatch.setattr(peer, "get_context", lambda _: get_context("forkserver"))
    monkeypatch.setattr(peer, "_serve", serve_on_one_thread)


def contender(name: str, **changes: object) -> Contender:
    given = {"kind": "one run alone", "covers": "an epoch", "train": lambda: 0, **changes}
    return Contender(name=name, **given)


def blocks(speeds: dict[str, list[float]], disturbed: tuple[tuple[str, int], ...] = ()) -> list[TimingBlock]:
    """One block for each speed. The first contender has a block at both ends of every round."""
    first, *others = speeds
    return [
        TimingBlock(arm=name, block=number, position=position, examples=1_000, seconds=1_000 / speeds[name][number], disturbed=(name, number) in disturbed)
        for number in range(len(speeds[first]))
        for position, name in enumerate([first, *others, first])
    ]  # fmt: skip


def test_a_ratio_is_the_geometric_mean_of_pairs_with_its_interval() -> None:
    peer, ours = [100.0, 200.0, 400.0], [200.0, 600.0, 800.0]
    base, row = compute_results([contender("peer"), contender("ours")], blocks({"peer": peer, "ours": ours}))
    assert (base.beside, base.ratio) == (None, None)
    assert row.beside == "peer"
    assert row.ratio == pytest.approx((2 * 3 * 2) ** (1 / 3))
    assert row.ratio_ci_low < row.ratio < row.ratio_ci_high
    assert math.log(row.ratio_ci_low) + math.log(row.ratio_ci_high) == pytest.approx(2 * math.log(row.ratio))
    assert row.examples_per_second == 600
    assert (row.examples_per_second_q1, row.examples_per_second_q3) == (400, 700)


@pytest.mark.parametrize(("speed", "reached"), [(219, "no"), (221, "must"), (301, "aim")])
def test_a_row_says_whether_it_reached_what_was_asked(speed: float, reached: str) -> None:
    asked = contender("ours", must=2.2, aim=3)
    _, row = compute_results([contender("peer"), asked], blocks({"peer": [100.0] * 3, "ours": [speed] * 3}))
    assert row.reached == reached


def test_disturbed_blocks_are_left_out_of_every_value() -> None:
    speeds = {"peer": [100.0] * 4, "ours": [300.0, 300.0, 300.0, 9_000.0]}
    _, row = compute_results([contender("peer"), contender("ours")], blocks(speeds, disturbed=(("ours", 3),)))
    assert (row.ratio, row.examples_per_second_q3) == (pytest.approx(3), pytest.approx(300))
    assert (row.blocks, row.undisturbed) == (4, 3)


def test_two_clean_pairs_make_no_ratio_and_reach_nothing() -> None:
    asked = contender("ours", must=2, aim=3)
    measured = blocks({"peer": [100.0] * 3, "ours": [300.0] * 3}, disturbed=(("ours", 0),))
    rows = list(compute_results([contender("peer"), asked], measured))
    assert (rows[1].ratio, rows[1].reached) == (None, None)
    assert "under 3 clean pairs" in str(list(lay_out_sections(rows)))


def test_one_run_inside_many_has_its_part_of_their_throughput() -> None:
    many = contender("many", kind="aggregate", at_once=4, must=5, aim=9)
    _, whole, inside = compute_results(
        [contender("peer"), many], blocks({"peer": [100.0] * 3, "many": [800.0] * 3})
    )
    assert (whole.kind, whole.ratio, whole.reached) == ("aggregate", pytest.approx(8), "must")
    assert (inside.kind, inside.ratio) == ("one run inside a cohort", pytest.approx(2))
    assert (inside.examples_per_second, inside.must, inside.reached) == (pytest.approx(200), None, None)


def test_a_single_block_is_compared_with_the_blocks_around_it() -> None:
    measured = [
        TimingBlock(arm=name, block=0, position=position, examples=speed, seconds=1, disturbed=False)
        for position, (name, speed) in enumerate([("peer", 80), ("command", 1_000), ("peer", 120)])
    ]
    whole = contender("command", kind="end to end", must=10, aim=14)
    _, row = compute_results([contender("peer"), whole], measured)
    assert (row.ratio, row.ratio_ci_low, row.reached) == (pytest.approx(10), None, "must")


def test_each_kind_of_throughput_has_its_section_and_names_its_reference() -> None:
    everyone = [
        contender("peer"),
        contender("ours", covers="steps"),
        contender("many", kind="aggregate", at_once=2),
        contender("command", kind="end to end"),
    ]
    rows = list(compute_results(everyone, blocks({c.name: [100.0 + i] * 3 for i, c in enumerate(everyone)})))
    table = dict(lay_out_sections(rows))
    assert list(table) == [
        "one run alone: an epoch",
        "one run alone: steps",
        "one run inside a cohort: an epoch",
        "aggregate: an epoch",
        "end to end: an epoch",
    ]
    assert table["one run alone: an epoch"][0][0] == "a: peer"
    assert "× a (" in table["aggregate: an epoch"][0][3]


def test_lenet_5_takes_2_263_920_flops_forward_and_backward(digits) -> None:
    assert count_training_flops(LoopTrainer(make_run({}), digits, CPU), (1, 28, 28)) == 3 * 833_040 - 235_200


def test_a_cohort_trains_all_its_members_for_an_epoch(digits) -> None:
    few = replace(
        digits,
        images=digits.images[:300],
        labels=digits.labels[:300],
        test_images=digits.test_images[:100],
        test_labels=digits.test_labels[:100],
    )
    together = CohortBlock(few, 3)
    before = together.cohort.parameters.clone()
    assert together() == 3 * 300
    assert (together.cohort.parameters != before).any(dim=1).all()
    kept = 784 + 2 * 4_704 + 1_176 + 2 * 1_600 + 400 + 2 * 120 + 2 * 84 + 10
    assert together.least_bytes == kept * 4 * 256 * 3


def test_a_run_that_fails_gives_no_throughput() -> None:
    class Failing:
        def outcomes(self, runs):
            from ablate.execution.executor import record_failure

            yield record_failure(runs[0], "out of luck")

        def close(self) -> None: ...

    with pytest.raises(AblateError, match="ended as failed: out of luck"):
        contenders.make_parallel_block(Failing(), [make_run({})], 1)()


def test_examples_are_counted_by_the_epochs_that_ended(tmp_path: Path, small) -> None:
    (tmp_path / "study.yaml").write_text(
        study_file.dump(small("factors={train_images: [500]}", "seeds=1", "tuning.trials=0"))
    )
    ended = {"phase": "confirm", "setting": "recipe", "seed": 0, "train_loss": 1.0, "train_accuracy": 0.5, "train_seconds": 1.0}  # fmt: skip
    underway = {**ended, "train_seconds": None, "epoch": 0.2}
    rows = [
        {**ended, "arm": "baseline", "epoch": 1.0},
        {**ended, "arm": "baseline", "epoch": 2.0},
        {**underway, "arm": "baseline"},
        {**ended, "arm": "train_images=500", "epoch": 1.0},
    ]
    write_table(make_frame("epochs", rows), tmp_path / "tables" / "epochs.csv")
    assert count_examples(tmp_path) == 2 * (1_437 - 240) + 500


def test_d2ls_loop_reads_the_official_files_decompressed(tmp_path: Path, real_data: Path) -> None:
    lay_out_files(real_data, tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    for file in official.FILES:
        assert (raw / file).read_bytes() == gzip.decompress(
            (real_data / f"FashionMNIST/raw/{file}.gz").read_bytes()
        )


def test_without_data_noise_of_the_same_shape_and_size_stands_in(tmp_path: Path) -> None:
    lay_out_files(None, tmp_path)
    datasets = by_torchvision.import_torchvision().datasets
    for train, count in ((True, 60_000), (False, 10_000)):
        read = datasets.FashionMNIST(tmp_path, train=train)
        assert read.data.shape == (count, 28, 28)
        assert sorted(read.targets.unique().tolist()) == list(range(10))
        assert 100 < read.data.float().mean() < 155


def test_without_torchvision_d2ls_loop_reads_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ablate.bench.peer.DATASETS",
        {"fashion_mnist": replace(DATASETS["fashion_mnist"], train_images=20, test_images=9)},
    )
    lay_out_files(None, tmp_path)
    torchvisions = open_fashion_mnist(tmp_path)
    monkeypatch.setattr("ablate.data.by_torchvision.has_torchvision", lambda: False)
    own = open_fashion_mnist(tmp_path)
    assert [len(each) for each in own] == [len(each) for each in torchvisions] == [20, 9]
    for ours, theirs in zip(own, torchvisions, strict=True):
        for (image, label), (expected, expected_label) in zip(
            map(ours.__getitem__, range(len(ours))), map(theirs.__getitem__, range(len(theirs))), strict=True
        ):
            assert torch.equal(image, expected)
            assert label == expected_label


def test_d2ls_loop_trains_an_epoch_in_a_process_that_ends(tmp_path: Path) -> None:
    lay_out_files(None, tmp_path)
    loop = Peer(tmp_path, 300, 100, CPU)
    epoch = loop.epoch()
    itself = psutil.Process(loop._process.pid)
    started = [itself, *itself.children(recursive=True)]
    loop.close()
    assert epoch.examples == 300
    assert 0 < epoch.step_seconds < epoch.seconds
    assert psutil.wait_procs(started, timeout=10)[1] == []


def test_a_d2l_loop_that_died_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loop = Peer(tmp_path / "nowhere", 300, 100, CPU)
    with pytest.raises(AblateError, match="D2L's loop ended with exit code 1"):
        loop.epoch()
    loop.close()


@pytest.mark.thorough
def test_the_command_measures_every_kind_of_result_and_shows_it_within_100_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], digits: Dataset
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(
        SMALL.replace("seeds: 3", "seeds: 1")
        .replace("trials: 2", "trials: 0")
        .replace("blocks: 3", "blocks: 0")
        .replace("model: lenet", "model: mlp")
        .replace("{pooling: avg}", "{}")
        .replace("{pooling: [avg, max]}", "{hidden: [[256], [64]]}")
    )
    monkeypatch.setattr(bench, "choose_extent", lambda *, quick, blocks: TINY)
    monkeypatch.setattr(sources, "find_root", lambda *_, **__: None)  # no data

    def run(command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        """The command of the measurement, forked."""
        assert command[:3] == [sys.executable, "-m", "ablate"]
        return ablate(*command[3:], cwd=tmp_path, drawn=False, ABLATE_ENGINE=env["ABLATE_ENGINE"])

    monkeypatch.setattr(whole, "subprocess", SimpleNamespace(run=run))
    # Two threads on cores that another test keeps busy wait for each other at every step.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = ["bench", "--study", str(path), "--engine", "loop", "--json", str(tmp_path / "bench.json")]
    monkeypatch.setattr("sys.argv", ["ablate", *command])
    with pytest.raises(SystemExit, match="0"):
        main()
    shown, told = capfd.readouterr()
    assert "a: D2L's loop" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "images: do not quote these results" in " ".join(shown.split())
    assert "DataLoader" not in told
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert {"environment", "rows", "remarks", "blocks"} <= set(kept)
    rows = {row["name"]: row for row in kept["rows"]}
    assert rows[PEER]["kind"] == "one run alone"
    assert rows["by D2L's own clock"]["examples_per_second"] > rows[PEER]["examples_per_second"]
    assert rows["torch loop, LeNet-5"]["flops_per_second"] > 0
    assert {f"torch loop, {network}" for network in contenders.ONE_CORE} <= set(rows)
    if not lanes_reason(make_run({}), digits, CPU):
        asked = {row["must"] for name, row in rows.items() if name.startswith("lanes, ")} - {None}
        assert asked == {6, 3.2, 3}
    measured = rows["ablate run small (loop)"]
    assert (measured["kind"], measured["must"], measured["aim"]) == ("end to end", 3, 3.5)
    counted = [block["examples"] for block in kept["blocks"] if block["arm"] == "ablate run small (loop)"]
    assert counted == [2 * 2 * 1_197]  # two arms, two epochs
    assert "Random noise of the same shape and size was used" in " ".join(kept["remarks"])
    assert kept["environment"]["hardware"].endswith("cores")
    assert not [row for row in rows.values() if row["kind"] == "aggregate"]  # runs of a study need its data


def test_a_machine_without_a_compiler_is_told_what_trains_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_library, "load_library", lambda: "there is no C++ compiler (g++, c++)")
    found = {finding.name: finding for finding in doctor.examine(None)}
    assert not found["lanes"].there
    assert found["lanes"].told == "there is no C++ compiler (g++, c++): the torch loop trains instead"
    assert found["loop"].there
    monkeypatch.delenv("ABLATE_ENGINE", raising=False)
    assert "there is no C++ compiler" in doctor.warn_without_lanes("cpu")
    assert doctor.warn_without_lanes("cuda") is None
    monkeypatch.setenv("ABLATE_ENGINE", "loop")
    assert doctor.warn_without_lanes("cpu") is None


def test_noise_stands_in_for_our_engines_as_well() -> None:
    dataset = Bench(TINY, CPU, None, None, "auto")._dataset()
    assert (len(dataset.images), len(dataset.test_images)) == (512, 100)
    assert np.ptp(dataset.images.numpy()) > 0.9
    assert torch.equal(dataset.labels.unique(), torch.arange(10))


def test_a_layers_parts_add_up_to_the_step_and_have_their_rates(monkeypatch, digits) -> None:
    if reason := lanes_reason(make_run({}), digits, CPU):
        pytest.skip(reason)
    monkeypatch.setattr(
        layers, "NETWORKS", {"net": {"batch_norm": True, "conv_layers": 3, "dense_layers": 2}}
    )
    monkeypatch.setattr(layers, "STEPS", 5)
    ((name, times),) = layers.measure_layers(digits)
    assert name == "net"
    assert [layer.name for layer in times] == [
        "1 → 6, 5×5", "6 → 16, 5×5", "16 → 16, 3×3", "400 → 120", "120 → 10",
    ]  # fmt: skip
    assert [layer.flops for layer in times] == [235_200, 480_000, 115_200, 96_000, 2_400]
    assert times[1].bytes == 4 * (6 * 14 * 14 + 16 * 10 * 10 + 16 * 5 * 5)
    first = times[0]
    assert first.seconds["inputs"] == 0
    for layer in times:
        expected = {"products", "weights", "activate", "slopes"} - ({"inputs"} if layer is first else set())
        assert all(layer.seconds[part] > 0 for part in expected)
        assert (layer.seconds["normalize"] > 0) == ("×" in layer.name)
        assert layer.rate("products") == pytest.approx(layer.flops / layer.seconds["products"])
    assert first.rate("inputs") is None
    table = layers.lay_out_layers(times)
    assert table[-1][0] == "together"
    assert {len(row) for row in table} == {len(layers.COLUMNS) + 1}
    assert re.fullmatch(r"[0-9.]+ @ [0-9]+", table[1][1])
    assert table[0][3] == ""
