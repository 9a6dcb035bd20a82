"""Ingress and HTTPRoute of the hub: charts/stepmark/templates/hub."""

from typing import Any

import pytest
from rendering import kind, objects, render

GATEWAYS = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}


def hub(url: str, **values: Any) -> list[dict[str, Any]]:
    return objects(hub={"publicUrl": url, **values})


def test_nothing_leads_to_the_hub_from_outside_unless_asked_for() -> None:
    assert not {"Ingress", "HTTPRoute"} & {one["kind"] for one in objects()}


def test_an_ingress_leads_from_the_public_host_to_the_hubs_api() -> None:
    spec = kind(hub("http://stepmark.example", ingress={"enabled": True}), "Ingress")["stepmark-hub"]["spec"]
    backend = {"service": {"name": "stepmark-hub", "port": {"name": "api"}}}
    rule = {"host": "stepmark.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    assert spec == {"rules": [rule]}


@pytest.mark.parametrize(("secret", "named"), [("", {}), ("own", {"secretName": "own"})])
def test_an_https_address_has_tls_by_a_secret_or_by_the_controllers_own_certificate(
    secret: str, named: dict[str, str]
) -> None:
    found = hub("https://stepmark.example/", ingress={"enabled": True, "tlsSecret": secret})
    assert kind(found, "Ingress")["stepmark-hub"]["spec"]["tls"] == [{"hosts": ["stepmark.example"], **named}]


def test_class_and_annotations_of_an_ingress_are_those_of_the_values() -> None:
    given = {"enabled": True, "className": "nginx", "annotations": {"cert-manager.io/cluster-issuer": "public"}}
    ingress = kind(hub("https://stepmark.example", ingress=given), "Ingress")["stepmark-hub"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["metadata"]["annotations"] == given["annotations"]


def test_an_http_route_leads_from_the_gateway_to_the_hub() -> None:
    spec = kind(hub("https://stepmark.example", httpRoute=GATEWAYS), "HTTPRoute")["stepmark-hub"]["spec"]
    assert spec == {
        "parentRefs": GATEWAYS["parentRefs"],
        "hostnames": ["stepmark.example"],
        "rules": [{"backendRefs": [{"name": "stepmark-hub", "port": 8080}]}],
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"ingress": {"enabled": True}},
            'hub.ingress.enabled: expected hub.publicUrl with a host and no path, found ""',
        ),
        ({"ingress": {"enabled": True}, "publicUrl": "https://a.example/hub"}, 'found "https://a.example/hub"'),
        ({"httpRoute": GATEWAYS}, "hub.httpRoute.enabled: expected hub.publicUrl"),
        (
            {"httpRoute": {"enabled": True}, "publicUrl": "https://a.example"},
            "hub.httpRoute.parentRefs: expected the Gateways that the route belongs to, found none",
        ),
    ],
)
def test_a_route_without_a_host_or_a_gateway_is_refused_with_the_remedy(values: dict[str, Any], said: str) -> None:
    done = render({"hub": values})
    assert done.returncode != 0
    assert said in done.stderr
