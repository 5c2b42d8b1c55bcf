"""A finished study, and the explorer for it: its session, its server, and its page in a browser."""

from collections.abc import Iterator
from typing import Any

import pytest

from ablate.execution.workers import ThisProcess
from ablate.records.folder import ReportFolder
from ablate.study import study_file
from tests.conftest import SMALL
from tests.experiment.test_conduct import conducting
from tests.explore.browsing import FLAGS, Page, served
from tests.with_parts import needed, program

SHOWN = ("baseline", "pooling=max")


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ReportFolder:
    """The report folder of a small study on the digits. One of its three arms has smaller images."""
    path = tmp_path_factory.mktemp("explored")
    (path / "small.yaml").write_text(SMALL.replace("factors: {", "factors: {input_size: [null, 20], "))
    spec = study_file.read(
        path / "small.yaml",
        ["seeds=1", "tuning.trials=0", "timing.blocks=0", "recipe.epochs=8", "keep=epochs"],
    )
    with conducting(spec, path / "small", lambda conditions, _: ThisProcess(conditions, 1)) as (
        conducted,
        made,
        _,
    ):
        list(conducted.run_phases())
        made.write_tables(conducted.make_tables())
        made.write_provenance(conducted.make_provenance())
    return made


@pytest.fixture(scope="package")
def extra() -> None:
    """Require the packages of the extra `explore`."""
    for package in ("nicegui", "starlette", "uvicorn"):
        needed(package)


@pytest.fixture(scope="package")
def session(extra: None, folder: ReportFolder) -> Any:
    """An explorer session on the folder."""
    from ablate.explore import session as sessions

    return sessions.open_session(folder.path, data_dir=None, tell=lambda line: None)


@pytest.fixture(scope="package")
def client(session: Any) -> Any:
    """A client that calls the server in this process."""
    needed("httpx2")
    from starlette.testclient import TestClient

    from ablate.explore import server

    return TestClient(server.build_application(session, SHOWN), base_url="http://127.0.0.1:8050")


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One chromium for all tests."""
    needed("selenium")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(program("chromedriver")))
    yield made
    made.quit()


@pytest.fixture
def driver(browser: Any) -> Iterator[Any]:
    """The browser. A script error in it fails the test."""
    browser.set_window_size(1400, 1000)
    yield browser
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.fixture(scope="package")
def address(extra: None, folder: ReportFolder) -> Iterator[str]:
    """The address of the folder, served by the command."""
    with served(folder.path, "--arms", ",".join(SHOWN)) as where:
        yield where


@pytest.fixture
def page(driver: Any, address: str) -> Page:
    """The page with an empty pad."""
    page = Page(driver, address)
    page.wait(lambda: page.answered)  # the page opens on a test image
    page.one("#clear").click()
    return page
