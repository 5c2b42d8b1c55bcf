"""Add many trials to Optuna's tables in one transaction, and read attributes of new trials.

Optuna's `Study.add_trial` uses one transaction for each trial, and reads the database before it writes an
attribute. `Study.add_trial` needs about 40 statements for one trial. This module writes the same rows, but
needs only about six statements for any number of trials.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Integer, Row, Select, and_, bindparam, insert, or_, select
from sqlalchemy.orm import aliased

Trial, Study = models.TrialModel, models.StudyModel
Attribute = models.TrialUserAttributeModel


def lock_studies(connection: Connection, studies: Sequence[int]) -> None:
    """Lock the Optuna studies, so that no other process adds trials to them until this transaction ends.

    SQLite cannot lock single rows, so the whole file is locked.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("begin immediate")
    connection.execute(
        select(Study.study_id).where(Study.study_id.in_(studies)).order_by(Study.study_id).with_for_update()
    )


def add_trials(connection: Connection, study: int, trials: Sequence[FrozenTrial]) -> int:
    """Add finished trials to a locked Optuna study, in the caller's transaction.

    Return the id of the last trial that was added.
    """
    last = select(Trial.number).where(Trial.study_id == study).order_by(Trial.trial_id.desc()).limit(1)
    number = connection.scalar(last)
    first = 0 if number is None else number + 1
    added = insert(Trial).returning(Trial.trial_id, sort_by_parameter_order=True)
    rows = [
        {
            "study_id": study,
            "number": place,
            "state": trial.state,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        for place, trial in enumerate(trials, start=first)
    ]
    numbered = list(zip(connection.scalars(added, rows).all(), trials, strict=True))
    for table, make_rows in (
        (models.TrialValueModel, _make_values),
        (models.TrialParamModel, _make_parameters),
        (Attribute, _make_attributes),
        (models.TrialIntermediateValueModel, _make_intermediate_values),
    ):
        content = [{"trial_id": number, **row} for number, trial in numbered for row in make_rows(trial)]
        if content:
            connection.execute(insert(table), content)
    return numbered[-1][0]


def read_attributes(
    connection: Connection, after: Mapping[int, int], keys: tuple[str, str]
) -> Sequence[Row[Any, Any, Any, Any]]:
    """Read two attributes of the trials that were added to Optuna studies since the last call.

    Args:
        connection: a connection to the storage.
        after: maps the id of an Optuna study to the id of its last known trial.
        keys: the names of the two attributes. A trial without both attributes is left out.

    Returns:
        One row for each trial, in the order of the trials' ids: the Optuna study's id, the trial's id, and
        both attributes as JSON.
    """
    last = {f"after_{study}": trial for study, trial in after.items()}
    return connection.execute(_select_attributes(tuple(after), keys), last).all()


@cache  # because SQLAlchemy needs more time to build the statement than SQLite needs to answer it
def _select_attributes(studies: tuple[int, ...], keys: tuple[str, str]) -> Select[Any]:
    one, other = aliased(Attribute), aliased(Attribute)
    new = (
        and_(Trial.study_id == study, Trial.trial_id > bindparam(f"after_{study}", type_=Integer))
        for study in studies
    )
    return (
        select(Trial.study_id, Trial.trial_id, one.value_json, other.value_json)
        .join(one, and_(one.trial_id == Trial.trial_id, one.key == keys[0]))
        .join(other, and_(other.trial_id == Trial.trial_id, other.key == keys[1]))
        .where(or_(*new))
        .order_by(Trial.trial_id)
    )


def _make_values(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        yield {"objective": objective, "value": stored, "value_type": kind}


def _make_parameters(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        yield {
            "param_name": name,
            "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }


def _make_attributes(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    return ({"key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items())


def _make_intermediate_values(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    for step, value in trial.intermediate_values.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        yield {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}
