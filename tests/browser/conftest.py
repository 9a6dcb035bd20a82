"""A hub that asks for a login, and a browser that has logged in, for the files of this folder."""

from collections.abc import Iterator
from typing import Any

import pytest

from chromium import Watched
from running_hub import Hub, serve
from stepmark.hub import rights


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Yield a hub that asks for a login."""
    folder = tmp_path_factory.mktemp("hub")
    started = serve(folder, f"sqlite:///{folder / 'hub.db'}")
    yield started
    assert started.end() == 0, started.log.read_text()


@pytest.fixture(scope="module")
def token(hub: Hub) -> str:
    return hub.admin_token


@pytest.fixture
def inside(browser: Any, hub: Hub, token: str) -> Iterator[Watched]:
    """Yield a browser that has logged in. At the end no page has complained, or loaded anything from elsewhere."""
    watched = Watched(browser.new_context(viewport={"width": 1280, "height": 900}))
    how = {"url": hub.url, "httpOnly": True, "sameSite": "Strict"}
    cookie = {"name": rights.COOKIE, "value": hub.session(token), **how}
    watched.context.add_cookies([cookie])
    yield watched
    watched.context.close()
    assert watched.elsewhere(hub.url) == []
    assert watched.complaints == []
