"""The service keeps to its own OpenAPI document.

Generated requests, good and bad, find no answer that the document does not describe, and none of a
status of 500 or more but those that say "not now".
"""

from __future__ import annotations

import warnings

from http_requests import ask
from hypothesis import HealthCheck, given, settings

import prestige

with warnings.catch_warnings():
    # Of the libraries that it imports.
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.specs.openapi import checks

# Deterministic: the same requests with every run.
SETTINGS = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# Codes of what may be asked again: 16 jobs are running, say.
NOT_NOW = {"busy", "overloaded"}
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def test_no_answer_is_another_than_described(store: prestige.Store) -> None:
    for name in ("", "0", "a"):
        store.namespace(name).put("0", "a value", metadata={"task": "faq"})
    with store.serve() as server:
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) > 40
        for operation in operations:

            @SETTINGS
            @given(case=operation.as_strategy())
            def call(case: schemathesis.Case) -> None:
                response = case.call(base_url=server.url)
                if response.status_code >= 500:
                    assert response.status_code == 503, response.text
                    assert response.json()["code"] in NOT_NOW, response.text
                case.validate_response(response, checks=CHECKS)

            call()
        assert ask(f"{server.url}/livez").status == 200
    assert store.verify() == []
