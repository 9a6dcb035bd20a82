"""Which right a method and an address need: an unknown one needs the admin's."""

import pytest

from stepmark.hub.rights import needed


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/", "read"),
        ("HEAD", "/api/v1/runs", "read"),
        ("GET", "/api/v1/executions/e/received", "write"),
        ("PUT", "/api/v1/runs/r/attempts/1", "register"),
        ("PUT", "/api/v1/runs/r/attempts/1/executions/e", "write"),
        ("PUT", "/api/v1/executions/e/launches/b000.a", "write"),
        ("PUT", "/api/v1/runs/r/attempts/1/", "admin"),
        ("PUT", "/api/v1/runs/r/attempts/1/executions/e/x", "admin"),
        ("PUT", "/api/v1/runs/r\n/attempts/1", "admin"),
        ("DELETE", "/api/v1/runs/r", "admin"),
        ("POST", "/api/v1/runs", "admin"),
        ("TRACE", "/", "admin"),
    ],
)
def test_each_address_needs_its_own_right_and_an_unknown_address_that_of_the_admin(
    method: str, path: str, right: str
) -> None:
    assert needed(method, path) == right
