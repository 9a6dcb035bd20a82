"""The hub's pages: rendered on the server, in the style of the report, usable without a script."""

from fastapi import FastAPI

from stepmark.hub.pages import assets, compare_page, list_page, login_page, run_page, scenario_page

_PARTS = (assets, list_page, run_page, compare_page, scenario_page, login_page)


def include(app: FastAPI) -> None:
    """Add every page to the app; the API's document leaves them out."""
    for one in _PARTS:
        app.include_router(one.router, include_in_schema=False)
