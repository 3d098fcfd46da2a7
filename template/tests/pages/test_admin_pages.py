"""The admin pages: who has access, what each page shows, and what each form does."""

import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from app import clock
from app.mail import OutboxMessage, pending_messages
from app.mail.outbox import DEAD
from app.users import User, record
from app.users.audit import AuditEvent
from app.users.models import UserSession
from tests.conftest import PASSWORD


@pytest.fixture
def begin_session(db, manager):
    """`await begin_session(user)` starts a browser session."""

    async def begin(user):
        async with db.session() as session:
            return await manager.sessions.issue(session, user, kind="cookie")

    return begin


@pytest.fixture
async def root(make_user):
    return await make_user("root@example.com", is_superuser=True)


@pytest.fixture
async def admin(log_in, root) -> httpx.AsyncClient:
    """A superuser's browser."""
    return await log_in(root)


@pytest.fixture
async def ada(make_user):
    return await make_user("ada@example.com", is_verified=True)


@pytest.fixture
def rows(db):
    """`await rows(User)`: the current rows of the table."""

    async def read(model):
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(model)))

    return read


@pytest.fixture
def make_dead_mail(db):
    """`await make_dead_mail()` creates an e-mail that was set aside and whose link still works."""

    async def make(**columns):
        content = '{"message": {"subject": "Reset", "text_body": "https://x/SECRET-TOKEN"}}'
        defaults = {
            "subject": "Set a new password",
            "message": content,
            "status": DEAD,
            "attempts": 8,
            "last_error": "connection refused",
            "expires_at": clock.now() + timedelta(seconds=50),
        }
        async with db.session() as session:
            row = OutboxMessage(**(defaults | columns))
            session.add(row)
        return row

    return make


def message_of(answer):
    """The name of the message that the next page shows."""
    found = re.search(r"__Host-message=(\w+)", answer.headers.get("set-cookie", ""))
    return found and found[1]


# Access


@pytest.fixture
async def admin_paths(app, ada, make_dead_mail):
    """The method and path of every admin route, with the ids of an existing account and e-mail."""
    mail = await make_dead_mail()
    values = {"user_id": ada.id, "message_id": mail.id}
    routes = [route for route in app.routes if route.path.startswith("/admin")]
    return [
        (method, re.sub(r"{([^}]+)}", lambda name: str(values.get(name[1], "x")), route.path))
        for route in routes
        for method in sorted(route.methods - {"HEAD"})
    ]


async def test_every_page_sends_visitors_to_the_login_and_back(browser, admin_paths):
    assert len(admin_paths) > 15

    for method, path in admin_paths:
        answer = await browser.request(method, path)
        assert answer.status_code == 303, (method, path)
        assert answer.headers["location"].startswith("/login?next=%2Fadmin"), (method, path)


async def test_every_page_shows_ordinary_users_an_error_page(log_in, ada, admin_paths):
    browser = await log_in(ada)
    for method, path in admin_paths:
        answer = await browser.request(method, path, follow_redirects=method == "GET")
        assert answer.status_code == 403, (method, path)
        assert "This page is for administrators only." in answer.text


async def test_every_form_refuses_cross_site_requests(admin, admin_paths, ada, rows):
    for method, path in admin_paths:
        if method == "POST":
            answer = await admin.post(path, data={}, headers={"Sec-Fetch-Site": "cross-site"})
            assert answer.status_code == 403, path
    assert ada.id in {user.id for user in await rows(User)}
    assert [mail.status for mail in await rows(OutboxMessage)] == [DEAD]


async def test_every_form_requires_a_recent_login(admin, admin_paths, db, rows):
    async with db.session() as session:
        an_hour_ago = clock.now() - timedelta(hours=1)
        await session.execute(update(UserSession).values(authenticated_at=an_hour_ago))
    for method, path in admin_paths:
        if method == "POST":
            answer = await admin.post(path, data={"change": "disabled", "email": "new@example.com"})
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/confirm?next=%2Fadmin"), path
            back = httpx.URL(answer.headers["location"]).params["next"]
            assert (await admin.get(back, follow_redirects=True)).status_code == 200, path
    assert {user.is_active for user in await rows(User)} == {True}
    assert [mail.status for mail in await rows(OutboxMessage)] == [DEAD]


async def test_no_page_shows_a_secret(admin, admin_paths, rows):
    secrets = [user.hashed_password for user in await rows(User)]
    secrets += [session.secret_hash for session in await rows(UserSession)]
    for method, path in admin_paths:
        if method == "GET":
            text = (await admin.get(path, follow_redirects=True)).text
            assert "Audit log" in text
            assert [each for each in (*secrets, "SECRET", PASSWORD) if each in text] == [], path
            assert 'type="password"' not in text


# Users


def link_in(text, relation):
    """The target of the link to the next or previous page, or None."""
    found = re.search(rf'<a href="([^"]+)" rel="{relation}">', text)
    return found and found[1].replace("&amp;", "&")


async def emails_on(browser, path):
    text = (await browser.get(path)).text
    found = re.findall(r'scope="row"><a href="/admin/users/[^"]+">([^@]+)@', text)
    return found, link_in(text, "next")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"root", "ada", "eve"}),
        ("search=AD", {"ada"}),
        ("search=&is_active=false&is_verified=&is_superuser=&must_reset_password=", {"eve"}),
        ("is_verified=true", {"ada"}),
        ("is_superuser=true", {"root"}),
        ("must_reset_password=true", {"eve"}),
        ("search=ada&is_superuser=true", set()),
    ],
)
async def test_the_search_finds_users(admin, ada, make_user, query, found):
    await make_user("eve@example.com", is_active=False, must_reset_password=True)

    emails, _ = await emails_on(admin, f"/admin?{query}")

    assert set(emails) == found


async def test_the_filter_shows_only_matching_users(admin):
    text = (await admin.get('/admin?search="><b>&is_active=false')).text

    assert 'value="&#34;&gt;&lt;b&gt;"' in text
    assert re.findall(r'value="(\w+)" selected', text) == ["false"]


async def test_the_next_page_keeps_the_filters(admin, ada, make_user):
    for number in range(3):
        await make_user(f"user{number}@example.com")

    path, pages = "/admin?search=user&is_active=true&limit=2", []
    while path:
        emails, path = await emails_on(admin, path)
        pages.append(emails)

    assert [len(page) for page in pages] == [2, 1]
    assert sorted(pages[0] + pages[1]) == ["user0", "user1", "user2"]


async def test_previous_links_lead_back_through_the_same_pages(admin, make_user):
    """The test goes forward page by page, with filters, and then back to the first page."""
    for number in range(5):
        await make_user(f"user{number}@example.com")
    path, forward, back = "/admin?search=user&limit=2", [], []
    while path:
        last = path
        emails, path = await emails_on(admin, path)
        forward.append(emails)

    path = last
    while path:
        back.append((await emails_on(admin, path))[0])
        path = link_in((await admin.get(path)).text, "prev")

    first = link_in((await admin.get(last)).text, "first")
    assert [len(page) for page in forward] == [2, 2, 1]
    assert back == forward[::-1]
    assert (await emails_on(admin, first))[0] == forward[0]


# One user


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("disabled", {"is_active": True}, {"is_active": False}),
        ("enabled", {"is_active": False}, {"is_active": True}),
        ("promoted", {"is_superuser": False}, {"is_superuser": True}),
        ("demoted", {"is_superuser": True}, {"is_superuser": False}),
        ("verified", {"is_verified": False}, {"is_verified": True}),
        ("unverified", {"is_verified": True}, {"is_verified": False}),
        ("reset_required", {"must_reset_password": False}, {"must_reset_password": True}),
        ("reset_waived", {"must_reset_password": True}, {"must_reset_password": False}),
    ],
)
async def test_a_button_changes_the_account(admin, make_user, rows, change, before, after):
    user = await make_user("ada@example.com", **before)
    assert f'value="{change}"' in (await admin.get(f"/admin/users/{user.id}")).text

    answer = await admin.post(f"/admin/users/{user.id}", data={"change": change})

    stored = next(each for each in await rows(User) if each.id == user.id)
    assert {name: getattr(stored, name) for name in after} == after
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/users/{user.id}")
    assert message_of(answer) == f"account_{change}"


async def test_an_unknown_change_changes_nothing(admin, ada):
    answer = await admin.post(f"/admin/users/{ada.id}", data={"change": "hashed_password"})

    assert answer.status_code == 400


async def test_the_account_page_shows_sessions_and_events(admin, root, ada, begin_session, db):
    await begin_session(ada)
    async with db.session() as session:
        record(session, "tested_event", ada.id, actor=root.id, details={"reason": "<b>"})

    text = (await admin.get(f"/admin/users/{ada.id}")).text

    assert text.count("/sessions/") == 1
    assert "Tested event" in text
    assert "reason: &lt;b&gt;" in text
    assert f'<a href="/admin/users/{root.id}">root@example.com</a>' in text


async def test_the_last_superuser_cannot_be_demoted_and_the_page_says_why(admin, root, rows):
    answers = [
        await admin.post(f"/admin/users/{root.id}", data={"change": "demoted"}),
        await admin.post(f"/admin/users/{root.id}", data={"change": "disabled"}),
        await admin.post(f"/admin/users/{root.id}/delete"),
    ]

    for answer in answers:
        assert answer.status_code == 409
        assert "This is the last active superuser. Make another account a superuser first." in answer.text
    assert [(user.is_superuser, user.is_active) for user in await rows(User)] == [(True, True)]


async def test_a_reset_link_is_mailed_to_the_owner(admin, ada, outbox):
    answer = await admin.post(f"/admin/users/{ada.id}/password-reset")

    assert message_of(answer) == "account_reset_sent"
    assert [message.to for message in await outbox()] == [["ada@example.com"]]


async def test_a_disabled_account_gets_no_mail_and_the_page_says_why(admin, make_user, rows):
    user = await make_user(is_active=False)

    answer = await admin.post(f"/admin/users/{user.id}/password-reset")

    assert answer.status_code == 409
    assert "The account is disabled, so no e-mail is sent to it." in answer.text
    assert await rows(OutboxMessage) == []


async def test_sessions_can_be_ended_one_by_one_or_all_at_once(admin, ada, log_in, begin_session):
    one, two, three = await begin_session(ada), await log_in(ada), await log_in(ada)
    path = f"/admin/users/{ada.id}/sessions"

    ended = await admin.post(f"{path}/{one.session.id}")
    again = await admin.post(f"{path}/{one.session.id}")
    assert message_of(ended) == "account_session_ended"
    assert again.status_code == 409
    assert "The session does not exist." in again.text
    assert (await two.get("/account")).status_code == 200

    assert message_of(await admin.post(path)) == "account_sessions_ended"
    assert [(await each.get("/account")).status_code for each in (two, three)] == [303, 303]


async def test_deleting_asks_for_confirmation_and_names_the_account(admin, ada, rows):
    page = await admin.get(f"/admin/users/{ada.id}/delete")
    assert "<strong>ada@example.com</strong>" in page.text
    assert len(await rows(User)) == 2

    answer = await admin.post(f"/admin/users/{ada.id}/delete")

    assert (answer.headers["location"], message_of(answer)) == ("/admin", "account_removed")
    assert [user.email for user in await rows(User)] == ["root@example.com"]
    assert (await admin.get(f"/admin/users/{ada.id}")).status_code == 404


# Invitations


async def test_invitations_can_be_sent_and_withdrawn(admin, outbox):
    answer = await admin.post("/admin/invitations", data={"email": "New@Example.com"})
    assert message_of(answer) == "invited"
    assert [message.to for message in await outbox()] == [["new@example.com"]]

    page = (await admin.get("/admin/invitations")).text
    path = re.search(r'action="(/admin/invitations/[^"]+/withdraw)"', page)
    assert path is not None
    assert "new@example.com" in page

    assert message_of(await admin.post(path[1])) == "invitation_withdrawn"
    assert "new@example.com" not in (await admin.get("/admin/invitations")).text


@pytest.mark.parametrize(
    ("email", "sentence"),
    [("ada@example.com", "This e-mail address already has an account."), ("nonsense", "must have an @-sign")],
)
async def test_an_invalid_invitation_is_refused_on_the_form(admin, ada, outbox, email, sentence):
    answer = await admin.post("/admin/invitations", data={"email": email})

    assert answer.status_code == 400
    assert f'value="{email}"' in answer.text
    assert sentence in re.findall(r'id="email-error" class="error">([^<]+)', answer.text)[0]
    assert await outbox() == []


# The audit log


async def test_the_log_shows_newest_first_and_filters_by_account(admin, ada, db):
    async with db.session() as session:
        for number in range(52):
            record(session, f"event{number}", ada.id)
        record(session, "other", None)

    whole = (await admin.get("/admin/audit")).text
    by_address = (await admin.get("/admin/audit?account=ADA@example.com&before=")).text
    by_id = (await admin.get(f"/admin/audit?account={ada.id}")).text
    unknown = (await admin.get("/admin/audit?account=nobody@example.com")).text

    def names(text):
        return re.findall(r"<div>(Event\d+|Other)\b", text)

    assert names(whole)[:2] == ["Other", "Event51"]
    assert names(by_address) == names(by_id) == [f"Event{number}" for number in range(51, 1, -1)]
    assert names(unknown) == []
    older = (await admin.get(link_in(by_address, "next"))).text
    assert names(older) == ["Event1", "Event0"]
    assert names((await admin.get(link_in(older, "prev"))).text) == names(by_address)
    assert link_in(by_address, "prev") is None


# E-mails that were set aside


async def test_a_dead_mail_is_shown_without_its_text(admin, ada, make_dead_mail):
    mail = await make_dead_mail(user_id=ada.id)

    for path in ("/admin/mails", f"/admin/mails/{mail.id}"):
        text = (await admin.get(path)).text
        assert "Set a new password" in text
        assert "connection refused" in text
        assert f'<a href="/admin/users/{ada.id}">ada@example.com</a>' in text
        assert "SECRET" not in text


async def test_waiting_mails_are_not_listed(admin, make_dead_mail):
    mail = await make_dead_mail(status="pending")

    assert "No e-mails were set aside." in (await admin.get("/admin/mails")).text
    for path in ("", "/retry", "/drop"):
        method = "POST" if path else "GET"
        assert (await admin.request(method, f"/admin/mails/{mail.id}{path}")).status_code == 404


async def test_a_dead_mail_can_be_resent(admin, root, make_dead_mail, db, rows):
    mail = await make_dead_mail()

    answer = await admin.post(f"/admin/mails/{mail.id}/retry")

    (row,) = await rows(OutboxMessage)
    assert message_of(answer) == "mail_retried"
    assert (row.status, row.attempts, row.last_error) == ("pending", 0, "")
    async with db.session(commit=False) as session:
        assert len(await pending_messages(session)) == 1
    (event,) = await rows(AuditEvent)
    assert (event.event, event.actor) == ("mail_retried", root.id)


@pytest.mark.parametrize("gone", [{"message": ""}, {"expires_at": clock.now() - timedelta(seconds=1)}])
async def test_a_mail_with_an_expired_link_cannot_be_resent(admin, make_dead_mail, rows, gone):
    mail = await make_dead_mail(**gone)

    page = (await admin.get(f"/admin/mails/{mail.id}")).text
    answer = await admin.post(f"/admin/mails/{mail.id}/retry")

    assert "cannot be sent again" in page
    assert answer.status_code == 409
    assert [row.status for row in await rows(OutboxMessage)] == [DEAD]


async def test_a_dead_mail_can_be_discarded(admin, make_dead_mail, rows):
    kept, mail = await make_dead_mail(), await make_dead_mail()

    answer = await admin.post(f"/admin/mails/{mail.id}/drop")

    assert message_of(answer) == "mail_dropped"
    assert [row.id for row in await rows(OutboxMessage)] == [kept.id]
    assert [event.event for event in await rows(AuditEvent)] == ["mail_dropped"]


async def test_the_list_of_dead_mails_is_paginated(admin, make_dead_mail):
    mails = [await make_dead_mail() for _ in range(51)]

    first = (await admin.get("/admin/mails")).text
    second = (await admin.get(f"/admin/mails?before={mails[1].id}")).text

    assert first.count('scope="row"') == 50
    assert f'href="/admin/mails?before={mails[1].id}" rel="next"' in first
    assert second.count('scope="row"') == 1
    assert (link_in(first, "prev"), link_in(second, "prev")) == (None, "/admin/mails")


# Your own tests go below; template updates never touch them.
