"""`stepmark hub serve` with impossible values. The controller's options: tests/unit/controller/test_serve.py."""

from typer.testing import CliRunner

from stepmark.cli.commands import hub
from stepmark.errors import CannotRun


def test_every_refused_option_is_named_with_its_variable() -> None:
    done = CliRunner().invoke(hub.app, ["serve", "--body-bytes-most", "5", "--heartbeat-seconds", "-1"])
    assert isinstance(done.exception, CannotRun)
    assert str(done.exception).splitlines() == [
        "--body-bytes-most (STEPMARK_HUB_BODY_BYTES_MOST): expected a number of at least 1024, found 5."
        " Change the value.",
        "--heartbeat-seconds (STEPMARK_HUB_HEARTBEAT_SECONDS): expected a number above 0.0, found -1.0."
        " Change the value.",
    ]


def test_a_user_of_token_review_without_a_right_is_refused() -> None:
    done = CliRunner().invoke(hub.app, ["serve", "--token-review-user", "system:serviceaccount:ci:runner"])
    assert isinstance(done.exception, CannotRun)
    assert "--token-review-user" in str(done.exception)


def test_an_option_that_may_be_given_again_is_named_as_it_is_written() -> None:
    done = CliRunner().invoke(hub.app, ["serve", "--register-token-namespace", "A_B"])
    assert str(done.exception).startswith("--register-token-namespace (STEPMARK_HUB_REGISTER_TOKEN_NAMESPACE): [0]:")
