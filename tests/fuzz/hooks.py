"""What schemathesis cannot know about this application: currently valid values and the meaning of a 400."""

import itertools
import os
import re

import requests
import schemathesis

URL = os.environ["FUZZ_URL"]
LINKS = {
    path: purpose
    for name, purpose in {
        "verify": "verify",
        "password-reset": "reset",
        "email-change": "email_change",
        "invitation": "invitation",
    }.items()
    for path in (f"/users/{name}", f"/users/{name}/{{token}}")
}
BY_A_RULE = {"email", "new_email", "password", "current_password", "new_password", "cursor"}
"""Text fields with a rule or a correct value that JSON Schema cannot express."""

_turns = itertools.count()


@schemathesis.hook
def before_load_schema(context, document):
    """A default response for every status would hide undocumented ones."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("default", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Every other valid request contains real credentials: a password, a link or a token. The first check
    rejects generated credentials, so later code would never be reached.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive or next(_turns) % 2:
        return
    account = requests.post(f"{URL}/fuzz/newcomer", timeout=10).json()
    if case.path in ("/users/register", "/users/invitations"):
        account["email"] = account["new_email"]
    if case.path in LINKS:
        account["token"] = account[LINKS[case.path]]
    if isinstance(case.body, dict):
        case.body = {name: account.get(name, value) for name, value in case.body.items()}
    if "Authorization" in case.headers:
        account |= related_records(case)
    case.path_parameters = {name: account.get(name, value) for name, value in case.path_parameters.items()}


def related_records(case):
    """The sender's own note or session, if the request refers to one."""
    owner = {"headers": {"Authorization": case.headers["Authorization"]}, "timeout": 10}
    if "note_id" in case.path_parameters:
        return {"note_id": requests.post(f"{URL}/notes", json={"title": "A note"}, **owner).json()["id"]}
    if "session_id" in case.path_parameters:
        return {"session_id": requests.get(f"{URL}/users/me/sessions", **owner).json()[0]["id"]}
    return {}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Decides which failures count. The application documents the exceptions."""
    return not (is_refused_by_a_rule(failure, case, response) or is_of_another_route(failure, case))


def is_refused_by_a_rule(failure, case, response):
    """A 400 for a schema-valid request: a schema cannot distinguish a valid link or the right password from
    other strings."""
    if failure.code != "ST202" or response.status_code != 400:
        return False
    if case.path in LINKS:
        return True
    if "The character U+0000 is not accepted." in response.text:
        # PostgreSQL cannot store this character, wherever it appears in a body.
        return True
    return any(each["field"] in BY_A_RULE for each in response.json().get("errors", []))


def is_of_another_route(failure, case):
    """A GET of an e-mailed link's page. Such pages are for people and are not in the document."""
    is_page = re.fullmatch(r"/users/(verify|password-reset|email-change|invitation)(/[^/]+)?", case.path)
    elsewhere = {"GET"} if is_page else set()
    if failure.code == "ST204":
        return failure.method in elsewhere
    return (
        failure.code == "ST205"
        and not failure.missing_methods
        and elsewhere.issuperset(failure.undocumented_methods)
    )
