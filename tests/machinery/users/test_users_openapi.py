"""The OpenAPI document of the users routes: rules for addresses and passwords, and cross-site refusals."""

import pytest

from tests.users.test_security_admin import OF_THE_TEMPLATE, operations_of_administration


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ("Registration", "password"),
        ("AcceptInvitation", "password"),
        ("PasswordReset", "password"),
        ("PasswordChange", "new_password"),
    ],
)
def test_a_new_password_documents_its_limits(app, schema, field):
    described = app.openapi()["components"]["schemas"][schema]["properties"][field]

    assert (described["minLength"], described["maxLength"]) == (8, 128)


@pytest.mark.parametrize("path", ["/verify", "/password-reset", "/email-change", "/invitation"])
def test_a_mailed_link_is_documented_for_path_and_body(app, path):
    paths = app.openapi()["paths"]

    in_body, in_path = paths[f"/users{path}"]["post"], paths[f"/users{path}/{{token}}"]["post"]

    assert in_body["requestBody"] == in_path["requestBody"]
    assert in_body["operationId"] != in_path["operationId"]


@pytest.mark.parametrize(("schema", "field"), [("Registration", "email"), ("EmailChange", "new_email")])
def test_a_new_address_is_documented_as_an_email(app, schema, field):
    assert app.openapi()["components"]["schemas"][schema]["properties"][field]["format"] == "email"


@pytest.mark.parametrize("schema", ["Credentials", "EmailRequest"])
def test_account_lookups_accept_any_text(app, schema):
    assert "format" not in app.openapi()["components"]["schemas"][schema]["properties"]["email"]


# The rejection of a cross-site cookie (checklist 35)


@pytest.mark.parametrize(
    ("path", "method", "is_named"),
    [
        ("/users/logout", "post", True),
        ("/users/me/password", "post", True),
        ("/users/email-change/{token}", "post", True),
        ("/users/me", "get", False),
        ("/users/token/refresh", "post", False),
    ],
)
def test_unsafe_routes_with_a_cookie_document_403(app, path, method, is_named):
    refusal = app.openapi()["paths"][path][method]["responses"].get("403", {})

    assert ("cross_site_request" in refusal.get("description", "")) == is_named


def test_the_tests_of_administration_know_every_operation():
    assert set(operations_of_administration()) <= OF_THE_TEMPLATE
