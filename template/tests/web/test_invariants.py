"""Invariants that hold for all of this application's routes, including your own."""

import typing

import pytest
from hawkapi.di.param_plan import ParamSource
from openapi_spec_validator import validate

from app.main import create_app
from app.web import App

_BY_DESIGN = {
    ParamSource.REQUEST,
    ParamSource.BACKGROUND_TASKS,
    ParamSource.DEPENDS_CONTAINER,
    ParamSource.CONTAINER_AUTO,
}


@pytest.fixture(scope="module")
def whole(settings) -> App:
    return create_app(settings)


def test_no_route_responds_before_its_guards(whole):
    assert [route.path for route in whole.routes if route._static_response or route._trivial] == []


def test_every_route_is_wrapped(whole):
    assert [each.route for each in whole.endpoints] == list(whole.routes)


def test_every_annotation_resolves(whole):
    assert all(typing.get_type_hints(each.handler, include_extras=True) for each in whole.endpoints)


def test_the_framework_reads_no_parameters(whole):
    left = [
        spec for route in whole.routes for spec in route._handler_plan.params if spec.source not in _BY_DESIGN
    ]

    assert left == []


def test_every_route_that_returns_data_declares_its_type(whole):
    assert [each.route.path for each in whole.endpoints if each.response_type is typing.Any] == []


def test_the_openapi_document_is_valid(whole):
    validate(whole.openapi())


def test_every_operation_has_a_unique_id(whole):
    operations = [each for path in whole.openapi()["paths"].values() for each in path.values()]
    identifiers = [each["operationId"] for each in operations]

    assert len(identifiers) == len(set(identifiers))


def test_every_operation_has_a_summary(whole):
    operations = [each for path in whole.openapi()["paths"].values() for each in path.values()]

    assert [each for each in operations if not each["summary"].strip()] == []


def test_every_operation_behind_a_login_documents_401(whole):
    operations = [each for path in whole.openapi()["paths"].values() for each in path.values()]
    secured = [each for each in operations if each.get("security") and {} not in each["security"]]

    assert secured
    assert [each["operationId"] for each in secured if "401" not in each["responses"]] == []


# Your own tests go below; template updates never touch them.
