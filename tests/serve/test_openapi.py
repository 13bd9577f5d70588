"""The document of the API against the API."""

import warnings

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # drawn bytes are no sounds

FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def test_answers_are_as_the_document_says(listen):
    """Requests are drawn from the document; status, type and body of each answer must be in it."""
    server = listen()
    document = httpx.get(f"{server.url}/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    labels = []
    for found in schema.get_all_operations():
        operation = found.ok()
        labels.append(operation.label)

        @given(case=operation.as_strategy())
        @FEW
        def attack(case):
            case.call_and_validate(base_url=server.url, excluded_checks=[positive_data_acceptance])

        attack()
    assert len(labels) == sum(len(each) for each in document["paths"].values())


def test_every_path_is_in_the_document_with_words(client):
    document = client.get("/v1/openapi.json").json()
    paths = {route.path for router in _routers() for route in router.routes if route.include_in_schema}
    assert set(document["paths"]) == paths
    assert "Research use only" in document["info"]["description"]
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["description"]
            assert "4XX" in operation["responses"]


def _routers():
    from add4rsc.serve.app import ROUTERS

    return [module.router for module in ROUTERS]


def test_there_are_examples(client):
    document = client.get("/v1/openapi.json").json()
    fields = [each for schema in document["components"]["schemas"].values() for each in schema["properties"].values()]
    assert sum("examples" in each for each in fields) > 20
