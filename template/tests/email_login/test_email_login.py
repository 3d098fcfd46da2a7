"""Logging in with an e-mailed code, and the effects of such a login."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.database import batches
from app.email_login.login_codes import METHOD, remove_expired
from app.email_login.models import LoginCode
from app.users.emails import NOTICES
from tests.email_login.conftest import EMAIL, START, OneFactor, codes_in

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])
MINUTE = timedelta(minutes=1)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def number_of_requests(db):
    async def count():
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(LoginCode))

    return count


# The e-mail


async def test_the_mail_shows_the_code_its_lifetime_and_who_requested_it(ada, person, outbox):
    person.client.headers["User-Agent"] = FIREFOX
    await person.ask()

    (mail,) = await outbox()
    [code] = codes_in(mail.text_body)
    assert mail.to == [EMAIL]
    assert f">{code}</p>" in mail.html_body
    for text in (mail.text_body, mail.html_body):
        assert "10 minutes" in text
        assert "Requested on 2030-01-01 12:00 UTC with Firefox on Linux." in text
        assert "Never share the code with anyone." in text


async def test_the_subject_names_the_application_and_not_the_code(ada, person, outbox, settings):
    await person.ask()

    (mail,) = await outbox()
    assert mail.subject == f"Your login code for {settings.app_name}"


async def test_the_mail_is_in_the_language_of_the_account(make_user, person, outbox):
    await make_user(EMAIL, is_verified=True, language="de")
    await person.ask()

    (mail,) = await outbox()
    assert mail.subject.startswith("Ihr Code zum Anmelden bei ")
    assert "10 Minuten" in mail.text_body


# Logging in


async def test_a_code_starts_a_bearer_session(ada, person):
    answer = await person.log_in()

    body = answer.json()
    me = await person.client.get("/users/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert (answer.status_code, body["email"], body["token_type"]) == (200, EMAIL, "bearer")
    assert (me.status_code, me.json()["id"]) == (200, ada.id)


async def test_a_code_starts_a_cookie_session(ada, person):
    answer = await person.log_in("/cookie")

    me = await person.client.get("/users/me")
    assert (answer.status_code, set(answer.json())) == (200, set(me.json()))
    assert me.json()["id"] == ada.id


@pytest.mark.parametrize(
    "spell",
    [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code[:4]} {code[5:7]} {code[7:]} "],
    ids=["lower case", "no hyphen", "spaces"],
)
async def test_case_hyphens_and_spaces_in_a_code_do_not_matter(ada, person, spell):
    request_id = await person.ask()

    assert (await person.enter(request_id, spell(await person.code()))).status_code == 200


@pytest.mark.parametrize(("remember", "is_kept"), [(True, True), (False, False)])
async def test_the_session_is_remembered_on_request(ada, person, remember, is_kept):
    answer = await person.log_in("/cookie", remember=remember)

    [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-session=")]
    assert ("Max-Age" in cookie) == is_kept


async def test_the_previous_session_of_the_browser_ends(ada, person, make_person):
    """ASVS 7.2.4."""
    await person.log_in("/cookie")
    former = person.client.cookies["__Host-session"]
    await person.log_in("/cookie")

    replay = await make_person().client.get("/users/me", headers={"Cookie": f"__Host-session={former}"})

    assert replay.status_code == 401


@KINDS
async def test_a_login_makes_the_browser_known_and_removes_its_key(ada, person, manager, kind):
    await person.log_in(kind)

    assert manager.is_known_browser(person.client.cookies["__Host-device"], ada)
    assert "__Host-login-code" not in person.client.cookies


async def test_a_login_in_a_new_browser_notifies_the_owner(ada, person, make_person, outbox):
    await person.log_in()
    await make_person("Other/1.0").log_in()

    assert (await outbox())[-1].subject.endswith(NOTICES["new_sign_in"].heading)


async def test_a_login_cancels_a_deletion(make_user, person, events):
    await make_user(EMAIL, is_verified=True, delete_after=START + timedelta(days=1))

    assert (await person.log_in()).status_code == 200
    [cancelled] = [each for each in await events() if each.event == "delete_cancelled"]
    assert cancelled.method == METHOD


async def test_a_login_is_in_the_audit_log(ada, person, events):
    """Checklist 39."""
    request_id = await person.ask()
    await person.enter(request_id, "BBBB-BBBB")
    await person.enter(request_id, await person.code())

    logged = [(each.event, each.outcome, each.method, each.user_id) for each in await events()]
    assert logged == [
        ("login_code_request", "success", "", ada.id),
        ("login", "failure", METHOD, ada.id),
        ("login", "success", METHOD, ada.id),
    ]


# Several requests


async def test_a_new_request_keeps_earlier_codes_valid(ada, person, make_person):
    """Otherwise anyone could keep the owner out by repeatedly requesting codes."""
    request_id = await person.ask()
    code = await person.code()
    await make_person("a stranger").ask()

    assert (await person.enter(request_id, code)).status_code == 200


async def test_a_fourth_request_ends_the_oldest(ada, make_person, wait):
    people = [make_person() for _ in range(4)]
    asked = []
    for each in people:
        asked.append((each, await each.ask(), await each.code()))
        wait(MINUTE)

    answers = [await each.enter(request_id, code) for each, request_id, code in asked]

    assert [each.status_code for each in answers] == [401, 200, 200, 200]


async def test_requests_that_send_no_mail_end_no_other_request(ada, person, make_person, wait):
    """A request over the mailbox's limit sends no e-mail and does not invalidate the owner's request."""
    for _ in range(4):
        await make_person("a stranger").ask()
        wait(MINUTE)
    request_id = await person.ask()
    code = await person.code()
    for _ in range(3):
        wait(MINUTE)
        await make_person("a stranger").ask()

    assert (await person.enter(request_id, code)).status_code == 200


async def test_the_code_of_another_request_is_refused(ada, person):
    first = await person.ask()
    code = await person.code()
    second = await person.ask()

    answers = [await person.enter(second, code), await person.enter(first, code)]

    # The browser has only the key for its most recent request.
    assert [each.status_code for each in answers] == [401, 401]


async def test_expired_requests_are_removed(ada, person, wait, db, number_of_requests):
    await person.ask()
    wait(MINUTE)
    await person.ask()
    wait(timedelta(minutes=9))
    async with db.session() as session:
        await remove_expired(session)

    assert await number_of_requests() == 1


async def test_a_periodic_task_removes_expired_requests(
    app, ada, person, wait, db, number_of_requests, monkeypatch
):
    """Rows are removed in batches, because anyone can request codes."""
    monkeypatch.setattr(batches, "BATCH", 1)
    for _ in range(3):
        await person.ask()
    wait(timedelta(minutes=10))
    async with db.session() as session:
        assert await remove_expired(session) == 1
    [task] = [each for each in app.state.tasks if each.name == "remove expired login codes"]
    await task.do()

    assert await number_of_requests() == 0


async def test_requests_are_deleted_with_the_account(ada, person, manager, db, number_of_requests):
    await person.ask()
    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, ada.id))

    assert await number_of_requests() == 0


# With second factors


@KINDS
async def test_a_second_factor_is_asked_for(ada, person, manager, number_of_sessions, kind):
    """Checklist 31: an e-mailed code is not a second factor (ASVS 6.3.6)."""
    manager.second_factors = OneFactor(has_one=True)

    answer = await person.log_in(kind)

    body = answer.json()
    expected = "ticket-cookie-True" if kind else "ticket-bearer-True"
    assert (answer.status_code, body.get("code")) == (401, "second_factor_required")
    assert (body["methods"], body["ticket"]) == (["code"], expected)
    assert person.client.cookies["__Host-login"] == f"{expected}.key"
    assert await number_of_sessions() == 0
    # The code has been used.
    assert (await person.enter("x", await person.code(), kind)).json()["code"] == "login_code_refused"


async def test_a_required_factor_must_be_set_up_first(ada, person, manager):
    """Checklist 31: REQUIRE_SECOND_FACTOR also applies to logins with e-mailed codes."""
    manager.second_factors, manager.require_second_factor = OneFactor(has_one=False), "all"

    tokens = (await person.log_in()).json()
    me = await person.client.get("/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    assert (me.status_code, me.json().get("code")) == (403, "second_factor_setup_required")


# Settings


async def test_over_plain_http_the_cookie_has_another_name(other_client, ada):
    client = await other_client(cookie_secure=False)
    await client.post("/users/login/email", json={"email": EMAIL})

    assert "login-code" in client.cookies


async def test_the_routes_follow_the_prefix(other_client, ada):
    client = await other_client(users_prefix="/accounts")

    assert (await client.post("/accounts/login/email", json={"email": EMAIL})).status_code == 202


# Your own tests go below; template updates never touch them.
