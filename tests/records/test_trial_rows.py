"""Many trials are added at once, with the same rows as Optuna adds for one trial after the other."""

import math
from collections.abc import Iterator

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from ablate.records.trial_rows import add_trials, lock_studies, read_attributes

TRIALS = [
    create_trial(value=0.5, user_attrs={"key": "a", "arm": "größer", "seed": 3}),
    create_trial(
        value=0.25,
        params={"learning_rate": 0.1, "dropout": 0.5},
        distributions={"learning_rate": FloatDistribution(0.1, 0.1), "dropout": FloatDistribution(0, 1)},
        intermediate_values={1: 0.2, 2: math.nan, 3: math.inf},
        user_attrs={"key": "b", "arm": "baseline", "nothing": None},
    ),
    create_trial(state=TrialState.FAIL, user_attrs={"key": "c", "arm": "x"}),
    create_trial(state=TrialState.PRUNED, value=-math.inf, intermediate_values={1: 0.5}),
]


@pytest.fixture
def storage() -> Iterator[RDBStorage]:
    made = RDBStorage("sqlite://")
    yield made
    made.remove_session()
    made.engine.dispose()


def add(storage: RDBStorage, study: int, trials: list[FrozenTrial]) -> int:
    with storage.engine.begin() as connection:
        lock_studies(connection, [study])
        return add_trials(connection, study, trials)


def describe(trial: FrozenTrial) -> str:
    trial._trial_id = 0  # depends on the other trials of the storage
    return repr(trial)


def test_trials_added_together_are_those_that_optuna_adds_one_by_one(storage: RDBStorage) -> None:
    one_by_one = optuna.create_study(storage=storage, study_name="one by one", direction="maximize")
    for trial in [*TRIALS, *TRIALS[:2]]:
        one_by_one.add_trial(trial)
    together = optuna.create_study(storage=storage, study_name="together", direction="maximize")
    study = storage.get_study_id_from_name("together")
    add(storage, study, TRIALS)
    together.add_trial(TRIALS[0])  # Optuna's own tools continue the numbers
    add(storage, study, TRIALS[1:2])
    assert [*map(describe, together.trials)] == [*map(describe, one_by_one.trials)]
    assert [trial.number for trial in together.trials] == [*range(6)]
    assert together.best_trial.number == 0


def test_only_attributes_of_trials_added_since_are_read(storage: RDBStorage) -> None:
    for name in ("one", "other"):
        optuna.create_study(storage=storage, study_name=name)
    one, other = map(storage.get_study_id_from_name, ("one", "other"))
    first = add(storage, one, TRIALS[:1])
    add(storage, other, TRIALS[1:3])
    add(storage, one, TRIALS[3:])  # without the attributes
    with storage.engine.connect() as connection:
        rows = read_attributes(connection, {one: 0, other: 0}, ("key", "arm"))
        later = read_attributes(connection, {one: first, other: first + 1}, ("key", "arm"))
    assert [(study, key, arm) for study, _, key, arm in rows] == [
        (one, '"a"', '"gr\\u00f6\\u00dfer"'),
        (other, '"b"', '"baseline"'),
        (other, '"c"', '"x"'),
    ]
    assert [key for _, _, key, _ in later] == ['"c"']
