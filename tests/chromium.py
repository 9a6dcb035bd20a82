"""A real browser for tests, and pages that record their requests, console messages and errors.

A test module asks for the fixture with `pytest_plugins = ["chromium"]`.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from conftest import needs

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the system's Chromium for a module, since playwright allows no second browser at the same time."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser on PATH, one of {', '.join(BROWSERS)}")
    needs("playwright")
    from playwright import sync_api as api

    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=as_root)
        yield started
        started.close()


@dataclass
class Watched:
    """The requests and the complaints of all pages of a browser's context."""

    context: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def page(self) -> Any:
        page = self.context.new_page()
        page.set_default_timeout(120_000)  # milliseconds
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        return page

    def elsewhere(self, url: str) -> list[str]:
        """Return the requests that went to any other address than this one."""
        return [one for one in self.requests if not one.startswith((f"{url}/", "data:"))]
