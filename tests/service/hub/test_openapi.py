"""The hub answers as its OpenAPI document says; schemathesis generates the requests."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from running_hub import Hub

pytest_plugins = ["running_hub"]


BOUNDED = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_every_answer_is_described_in_the_openapi_document(hub: Hub, mode: schemathesis.GenerationMode) -> None:
    """A request that fits the document may still be refused, since a body must also agree with the database."""
    headers = {"Authorization": f"Bearer {hub.admin_token}"}
    document = schemathesis.openapi.from_url(f"{hub.url}/api/v1/openapi.json", headers=headers)

    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=[schemathesis.checks.positive_data_acceptance])

    for found in document.get_all_operations():
        BOUNDED(given(found.ok().as_strategy(generation_mode=mode))(check))()  # type: ignore[union-attr]


def test_the_openapi_document_has_every_call_with_its_body(hub: Hub) -> None:
    paths = hub.get("/api/v1/openapi.json")["paths"]
    bodies = {
        call["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/")[-1]
        for calls in paths.values()
        for call in calls.values()
        if "requestBody" in call
    }
    assert bodies == {"Registration", "AttemptEnd", "Claim", "LaunchUpload", "Certificate", "State"}
    assert len(paths) >= 11
