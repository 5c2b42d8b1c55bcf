"""Serve the record of a study, the database of its runs, with optuna-dashboard."""

from pathlib import Path

from optuna.storages import RDBStorage

from ablate.errors import AblateError, install_command
from ablate.records.optuna_trials import open_file
from ablate.records.postgresql_record import parse_address


def open_folder(folder: Path) -> RDBStorage:
    """Open the record that `run` left in a report folder.

    Raises:
        AblateError: the folder has no record.
    """
    path = folder / "study.db"
    if not path.exists():
        raise AblateError(f"{folder} has no study.db: name a report folder that `run` wrote")
    return open_file(path)


def open_server(url: str) -> RDBStorage:
    """Open the records of all studies on a server.

    Raises:
        AblateError: the URL does not name a PostgreSQL server, or the URL contains a password.
    """
    return RDBStorage(parse_address(url).render_as_string(hide_password=False))


def serve(record: RDBStorage, host: str, port: int) -> None:
    """Serve the record's pages until the user interrupts the command.

    Raises:
        AblateError: optuna-dashboard is not installed.
    """
    try:
        import optuna_dashboard
    except ModuleNotFoundError:
        raise AblateError(f"optuna-dashboard is not installed: {install_command('dashboard')}") from None
    optuna_dashboard.run_server(record, host=host, port=port)
