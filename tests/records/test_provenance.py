"""environment.json: all versions up to the present one are read, and later ones are refused."""

import json
from pathlib import Path

import pytest

from ablate.errors import FolderError
from ablate.records.provenance import (
    ArmCost,
    DataFacts,
    Finalist,
    Machine,
    Provenance,
    SearchedCandidate,
    SearchFacts,
    read_provenance,
    write_provenance,
)

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
PROVENANCE = Provenance(
    machine=Machine(
        device="cpu", device_name="a processor", cores=2, timing_threads=2, packages={"torch": "2.13"}
    ),
    data=DataFacts(
        dataset="digits",
        test_images=360,
        classes=tuple("0123456789"),
        chance=0.1,
        sha256={"pixels": "abc"},
    ),
    arms={"baseline": ArmCost(parameters=61_706), "pooling=max": ArmCost()},
    networks={"baseline": {"model": "lenet", "channels": [6, 16]}},
    contrasts=(("pooling=max", "baseline"),),
    left_out={},
    engines={"loop": 6},
    causes={},
)
SEARCHED = Provenance(
    **{
        **vars(PROVENANCE),
        "search": SearchFacts(
            candidates=(
                SearchedCandidate(arm="baseline", setting="recipe", generation=0, flops_per_example=10),
            ),
            finalists={"finalist 1": Finalist(arm="pooling=max", setting="recipe")},
            importance=({"factor": "pooling", "ped_anova": 1.0, "fanova": 1.0},),
        ),
    }
)


@pytest.mark.parametrize("provenance", [PROVENANCE, SEARCHED], ids=["grid", "search"])
def test_provenance_is_read_back_as_it_was_written(tmp_path: Path, provenance: Provenance) -> None:
    write_provenance(tmp_path, provenance)
    assert read_provenance(tmp_path) == provenance


@pytest.mark.parametrize(
    "folder",
    sorted(path.parent.relative_to(PUBLISHED).as_posix() for path in PUBLISHED.rglob("environment.json")),
)
def test_every_published_folder_is_read_without_loss(folder: str) -> None:
    raw = json.loads((PUBLISHED / folder / "environment.json").read_text())
    kept = json.loads(json.dumps(read_provenance(PUBLISHED / folder).to_dict()))
    assert {name: kept[name] for name in raw if name != "arms"} == {
        name: value for name, value in raw.items() if name != "arms"
    }
    measured, written = (
        {arm: {k: v for k, v in cost.items() if v is not None} for arm, cost in one["arms"].items()}
        for one in (kept, raw)
    )
    assert measured == written


def test_a_folder_without_a_version_is_read(tmp_path: Path) -> None:
    raw = PROVENANCE.to_dict()
    for later in ("version", "code", "plugins", "test_set_readers", "memory_bytes"):
        raw.pop(later, None)
    (tmp_path / "environment.json").write_text(json.dumps(raw))
    assert read_provenance(tmp_path) == PROVENANCE


def test_an_unknown_version_gives_an_error_of_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps({**PROVENANCE.to_dict(), "version": 99}))
    with pytest.raises(
        FolderError, match=r"version 99; this ablate reads only up to version 1: update ablate$"
    ):
        read_provenance(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"environment\.json: is damaged"),
        ("[]", r"environment\.json: is damaged \(not a JSON object"),
        (
            json.dumps({**PROVENANCE.to_dict(), "data": {}}),
            r"data\.dataset: field required: run the study again",
        ),
        (json.dumps({**PROVENANCE.to_dict(), "cores": "many"}), r"machine\.cores: .*integer"),
    ],
)
def test_a_damaged_file_gives_an_error_of_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "environment.json").write_text(text)
    with pytest.raises(FolderError, match=message):
        read_provenance(tmp_path)
