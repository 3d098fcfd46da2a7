"""The language that a user sets: it applies to errors and e-mails and overrides the browser's language."""

import pytest

from app.users import UserAlreadyExists
from app.users.exceptions import UnknownLanguage

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
GERMAN = {"Accept-Language": "de"}


async def test_a_user_sets_and_unsets_a_language(client, make_user, login, stored, events):
    user = await make_user("ada@example.com")

    answers, languages = [], []
    for language in ("de", None):
        answers.append(await client.patch("/users/me", json={"language": language}, headers=login(user)))
        languages.append((await stored(user)).language)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert languages == ["de", None]
    assert [event.details for event in await events()] == ['{"changed":["language"]}'] * 2


@pytest.mark.parametrize("language", ["fr", "DE", "", "../../x", "de" * 5000])
async def test_a_language_without_a_translation_is_refused(client, make_user, login, stored, language):
    user = await make_user("ada@example.com", language="de")

    answer = await client.patch("/users/me", json={"language": language}, headers=login(user))

    sentence = "Die Anwendung gibt es nicht in dieser Sprache."
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_language")
    assert answer.json()["errors"] == [{"field": "language", "message": sentence, "code": "unknown_language"}]
    assert (await stored(user)).language == "de"


async def test_the_manager_refuses_an_unknown_language_too(db, manager, make_user):
    user = await make_user("ada@example.com")

    async with db.session() as session:
        with pytest.raises(UnknownLanguage):
            await manager.update_profile(session, user, language="fr")


@pytest.mark.parametrize(
    ("language", "asked", "spoken"),
    [("de", "en", "de"), ("en", "de", "en"), (None, "de", "de"), ("gone", "de", "de")],
)
async def test_the_setting_overrides_the_language_of_the_request(
    client, make_user, login, language, asked, spoken
):
    headers = login(await make_user(language=language))

    answer = await client.post(
        "/users/me/confirm",
        json={"password": "wrong"},
        headers=headers | {"Accept-Language": asked, "Cookie": f"language={asked}"},
    )

    sentence = {"de": "Das Passwort ist falsch.", "en": "The password is wrong."}[spoken]
    assert answer.json()["detail"] == sentence
    assert answer.headers["content-language"] == spoken


async def test_the_language_does_not_apply_after_the_request(client, make_user, login):
    await client.get("/users/me", headers=login(await make_user(language="de")))

    answer = await client.get("/users/me")

    assert answer.headers["content-language"] == "en"


@pytest.mark.parametrize(
    ("language", "subject"), [("de", "neues Passwort"), ("en", "new password"), (None, "neues Passwort")]
)
async def test_a_mail_is_in_the_language_of_its_recipient(client, make_user, outbox, language, subject):
    """It does not matter who requests the e-mail. Without a setting, the request's language applies."""
    await make_user("ada@example.com", language=language)

    await client.post("/users/password-reset/request", json={"email": "ada@example.com"}, headers=GERMAN)

    [mail] = await outbox()
    assert subject in mail.subject
    assert f'<html lang="{"en" if language == "en" else "de"}">' in mail.html_body


async def test_a_mail_in_a_regional_language_has_its_bcp_47_tag(client, make_user, outbox, monkeypatch):
    codes = ["en", "pt_BR"]
    monkeypatch.setattr("app.i18n.languages", lambda: codes)
    await make_user("ada@example.com", language="pt_BR")

    await client.post("/users/password-reset/request", json={"email": "ada@example.com"})

    [mail] = await outbox()
    assert '<html lang="pt-BR">' in mail.html_body


async def test_a_mail_sent_by_a_superuser_is_in_the_language_of_its_recipient(
    client, make_user, login, outbox
):
    reader = await make_user("ada@example.com", language="de")
    boss = await make_user("boss@example.com", language="en", is_superuser=True)

    await client.post(f"/users/{reader.id}/password-reset", headers=login(boss))

    assert [mail.subject for mail in await outbox()] == ["Setzen Sie ein neues Passwort für HawkAPI app"]


async def test_a_notice_is_in_the_language_of_its_recipient(client, make_user, login, outbox):
    user = await make_user("ada@example.com", language="de")
    body = {"current_password": ADA["password"], "new_password": "a brand new password"}

    await client.post("/users/me/password", json=body, headers=login(user))

    assert [mail.subject for mail in await outbox()] == ["HawkAPI app: Ihr Passwort wurde geändert"]


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        (GERMAN, "de"),
        ({"Accept-Language": "en-GB"}, "en"),
        ({"Cookie": "language=de", "Accept-Language": "en"}, "de"),
        ({"Accept-Language": "fr"}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_a_new_account_gets_the_language_of_the_registration_request(
    client, accounts, headers, language
):
    await client.post("/users/register", json=ADA, headers=headers)

    assert [user.language for user in await accounts()] == [language]


async def test_an_invited_user_gets_the_language_of_their_browser(client, db, manager, accounts):
    async with db.session() as session:
        _, token = await manager.invitations.make(session, ADA["email"], invited_by="cli")

    await client.post("/users/invitation", json={"password": ADA["password"], "token": token}, headers=GERMAN)

    assert [user.language for user in await accounts()] == ["de"]


async def test_the_caller_can_choose_the_language_of_a_new_account(db, manager, accounts):
    async with db.session() as session:
        await manager.create(session, **ADA, language="de")
        with pytest.raises(UserAlreadyExists):
            await manager.create(session, **ADA, language="en")

    assert [user.language for user in await accounts()] == ["de"]


async def test_the_language_is_in_the_export(client, make_user, login):
    user = await make_user("ada@example.com", language="de")

    export = (await client.get("/users/me/export", headers=login(user))).json()

    assert export["account"]["language"] == "de"
