"""Tokens of service accounts, as a real API server reviews them."""

from typing import Any

import pytest

from stepmark.hub.settings import Grant
from stepmark.hub.token_review import TokenReviewer

pytestmark = pytest.mark.cluster

NAMESPACE = "reviewed"
RUNNER = f"system:serviceaccount:{NAMESPACE}:runner"


def token(cluster: Any, account: str, *options: str) -> str:
    done = cluster.kubectl("--namespace", NAMESPACE, "create", "token", account, *options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


@pytest.fixture(scope="module")
def accounts(cluster: Any) -> Any:
    for what in (
        ["namespace", NAMESPACE],
        *(["serviceaccount", name, "-n", NAMESPACE] for name in ("runner", "other")),
    ):
        done = cluster.kubectl("create", *what)
        assert done.returncode == 0, done.stderr
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def reviewer(accounts: Any, monkeypatch: pytest.MonkeyPatch) -> TokenReviewer:
    monkeypatch.setenv("KUBECONFIG", str(accounts.kubeconfig))
    return TokenReviewer("stepmark", {RUNNER: Grant(right="register")})


def test_a_token_made_for_the_hub_has_the_right_of_its_user(accounts: Any, reviewer: TokenReviewer) -> None:
    user = reviewer.user_of(token(accounts, "runner", "--audience", "stepmark"))
    assert user is not None
    assert user.grant == Grant(right="register")


@pytest.mark.parametrize(
    ("account", "options"),
    [("runner", ["--audience", "elsewhere"]), ("runner", []), ("other", ["--audience", "stepmark"])],
    ids=["for another service", "for the API server", "of somebody else"],
)
def test_any_other_token_of_kubernetes_has_no_right(
    accounts: Any, reviewer: TokenReviewer, account: str, options: list[str]
) -> None:
    assert reviewer.user_of(token(accounts, account, *options)) is None


def test_a_text_that_is_not_a_token_has_no_right(accounts: Any, reviewer: TokenReviewer) -> None:
    assert reviewer.user_of("eyJhbGciOiJub25lIn0.e30.") is None
