"""Read runs from MLflow's tracking server, with MLflow's own client (in the extra `sources`)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ablate.errors import AblateError, install_command
from ablate.judging.sources.databases import explain, hide_password
from ablate.judging.sources.mlflow_run import MlflowRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PAGE = 1_000
"""The maximum number of runs in one answer of the server."""


def is_server(source: str) -> bool:
    """Return whether the source is a web address. The server is not contacted."""
    return source.startswith(("http://", "https://"))


def list_experiments(source: str) -> dict[str, str]:
    """Map the name of every experiment that was not deleted to the experiment's number."""
    with _open(source) as client:
        return {one.name: one.experiment_id for one in client.search_experiments()}


def read_experiment(source: str, number: str) -> list[MlflowRun]:
    """Return the runs of an experiment that were not deleted."""
    runs: list[MlflowRun] = []
    token = None
    with _open(source) as client:
        while True:
            page = client.search_runs([number], max_results=_PAGE, page_token=token)
            runs += [
                MlflowRun(
                    run_id=run.info.run_id,
                    status=run.info.status,
                    parameters=dict(run.data.params),
                    metrics=dict(run.data.metrics),
                    tags=dict(run.data.tags),
                )
                for run in page
            ]
            token = page.token
            if not token:
                return runs


@contextmanager
def _open(source: str) -> Iterator["MlflowClient"]:
    """Open MLflow's client.

    The client reads the user, password or token from environment variables, as MLflow's documentation says.

    Raises:
        AblateError: MLflow is not installed, or the server does not answer or refuses access.
    """
    place = hide_password(source)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise AblateError(f"{place}: MLflow is not installed: {install_command('sources')}") from None
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        yield MlflowClient(tracking_uri=source)
    except MlflowException as error:
        raise AblateError(f"{place}: MLflow's server cannot be read ({explain(error)})") from None
