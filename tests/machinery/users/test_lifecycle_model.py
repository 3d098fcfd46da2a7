"""The account lifecycle compared with a model: any actions in any order, with all old tokens retried.

Hypothesis generates sequences of steps. The model below predicts the result of each step in plain Python.
After each step, the test tries every session, link and password that ever existed. Time passes only where a
step says so. HYPOTHESIS_PROFILE=long runs many more sequences, which differ in every run. A failing sequence
is shown with its steps.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import argon2
import hawkapi_auth._tokens
import httpx
import jwt.api_jwt
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pyotp.totp import TOTP

from app import clock
from app.database import Base
from app.mail import pending_messages
from app.main import create_app
from app.users import tokens
from app.users.passwords import hashing
from app.web import App
from tests.passkeys.authenticator import Authenticator

CALM: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
"""A slow machine is not a bug."""
PROFILES = {
    # The sequences are always the same, so a failure depends on the change, not on luck.
    "short": profile(max_examples=25, stateful_step_count=30, derandomize=True, database=None, **CALM),
    # Fewer sequences, because each request takes longer on PostgreSQL.
    "postgresql": profile(max_examples=12, stateful_step_count=30, derandomize=True, database=None, **CALM),
    "long": profile(max_examples=500, stateful_step_count=30, print_blob=True, **CALM),
}
ADDRESSES = ["ada@example.com", "bob@example.com", "cyd@example.com", "new@example.com"]
PASSWORDS = ["correct horse battery", "quiet harbour stone", "winter lantern opal"]
ROOT = {"email": "root@example.com", "password": "seven purple anchors"}

EVERYTHING = {
    "register 201",
    "verify with browser 200",
    "verify with login 200",
    "verify with password 200",
    "verify with nothing 200",
    "log in /login 200",
    "log in /login/cookie 200",
    "refresh 200",
    "refresh within the grace",
    "refresh with a stolen token",
    "confirm 204",
    "change password 200",
    "reset 200",
    "confirm email 200",
    "end other sessions 204",
    "end sessions 204",
    "is_active False 200",
    "is_verified False 200",
    "delete 204",
    "delete own account 204",
    "set up an app 200",
    "give a code 200",
    "give a recovery code 200",
    "confirm with a code 204",
    "remove the app 204",
    "reset factors 204",
    "add a passkey 201",
    "give a passkey 200",
    "confirm with a passkey 204",
    "log in /login/passkey 200",
    "log in /login/passkey/cookie 200",
    "remove a passkey 204",
}
"""The events that must happen in at least one of many sequences. The few sequences of a short run cannot
cover everything.
"""

START = datetime(2030, 1, 1, tzinfo=UTC)
GRACE = timedelta(seconds=30)
RECENT = timedelta(minutes=10)
ACCESS = timedelta(minutes=15)
LINK = timedelta(hours=1)
IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=90)
SEEN_EVERY = timedelta(minutes=1)
MOST_SPENT = 10

_hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


# What must be true


@dataclass(eq=False)
class Account:
    id: str
    email: str
    password: str
    browser: str
    """The cookie of the browser that registered it."""
    has_password: bool = True
    """False if the password is unknown, because someone who did not prove ownership verified the address."""
    exists: bool = True
    is_active: bool = True
    is_verified: bool = False
    pending_email: str | None = None
    app: TOTP | None = None
    """The authenticator app, if it is set up."""
    last_step: int = 0
    """The time step of the last code that was used."""
    recovery_codes: list[str] = field(default_factory=list)
    phones: dict[str, Authenticator] = field(default_factory=dict)
    """The authenticators with the account's passkeys, keyed by passkey id."""

    @property
    def has_factor(self) -> bool:
        return self.app is not None or bool(self.phones)


@dataclass(eq=False)
class Session:
    """A login. Its token is the cookie of a cookie session or the refresh token of a bearer session."""

    account: Account
    token: str
    began: datetime
    authenticated: datetime
    seen: datetime
    access: dict[str, datetime] = field(default_factory=dict)
    """All access tokens so far, with their expiry. A cookie session has none."""
    replaced_tokens: dict[str, datetime] = field(default_factory=dict)
    """Replaced refresh tokens, and when they were replaced."""
    is_over: bool = False

    @property
    def is_cookie(self) -> bool:
        return not self.access


@dataclass(eq=False)
class Link:
    """An e-mailed token. It stops working when the account's address or password changes."""

    account: Account
    purpose: str
    token: str
    address: str
    expires: datetime
    is_dead: bool = False


class World:
    """The model: accounts, sessions and links, and what one event does to all of them."""

    def __init__(self) -> None:
        self.now = START
        self.accounts: list[Account] = []
        self.sessions: list[Session] = []
        self.links: list[Link] = []

    def account_of(self, email: str) -> Account | None:
        return next((each for each in self.accounts if each.exists and each.email == email), None)

    def is_alive(self, session: Session) -> bool:
        return not session.is_over and self.now < session.began + ABSOLUTE and self.now < session.seen + IDLE

    def is_recent(self, session: Session) -> bool:
        return self.now < session.authenticated + RECENT

    def opens(self, session: Session, access: str) -> bool:
        return self.is_alive(session) and self.now < session.access[access]

    def works(self, link: Link) -> bool:
        account = link.account
        if link.is_dead or self.now >= link.expires:
            return False
        if link.purpose == "verify":
            return not account.is_verified
        if link.purpose == "email-change":
            return account.pending_email == link.address and self.account_of(link.address) is None
        return True

    def saw(self, session: Session) -> None:
        """Record that a request of *session* succeeded."""
        if self.now - session.seen >= SEEN_EVERY:
            session.seen = self.now

    def end(self, account: Account, except_session: Session | None = None) -> None:
        """End every session of *account* except *except_session*."""
        for session in self.sessions:
            if session.account is account and session is not except_session:
                session.is_over = True

    def renounce(self, account: Account, except_session: Session | None = None) -> None:
        """Invalidate everything issued before, because the password or address changed or the account was
        disabled.
        """
        self.end(account, except_session)
        for link in self.links:
            if link.account is account:
                link.is_dead = True

    def delete(self, account: Account) -> None:
        account.exists = False
        self.renounce(account)


# The steps

numbers = st.integers(min_value=0, max_value=999)
"""Chooses one of the existing items: the number modulo the number of items is its index."""
mostly = st.sampled_from([True, True, True, False])


def _any_of(phones: dict[str, Authenticator]) -> Authenticator:
    return next(iter(phones.values()))


def _one_of[T](things: list[T], number: int, is_good: Callable[[T], object]) -> T:
    """Usually chooses an item that still works, because the others keep growing in number."""
    good = [each for each in things if is_good(each)] if number % 4 < 3 else []
    return (good or things)[number % len(good or things)]


class Lifecycle(RuleBasedStateMachine):
    """One sequence. The test below creates the application and its event loop once for all sequences."""

    app: App
    loop: asyncio.AbstractEventLoop
    client: httpx.AsyncClient
    happened: Counter[str]
    world: World

    def __init__(self) -> None:
        super().__init__()
        # Patched on the class, because the clock belongs to the current sequence.
        type(self).world = World()
        self.buried: list[Link] = []
        self.turn = 0

    @initialize()
    def begin(self) -> None:
        """A superuser and two registered, logged-in users, with links and tokens of every kind. One has an
        authenticator app."""
        self.loop.run_until_complete(self._empty())
        for email, path in zip(ADDRESSES, ["/login", "/login/cookie"], strict=False):
            self._register(email, PASSWORDS[0])
            self._log_in(path, email, PASSWORDS[0])
            self._request_link(email, "password-reset")
            self._request_email_change(self.world.sessions[-1], ADDRESSES[-1])
        [bearer] = self.bearers()
        self._refresh(bearer, bearer.token)
        self.world.now += GRACE
        self._refresh(bearer, bearer.token)
        self._change(self.world.accounts[-1], "is_verified")
        self._set_up_app(self.world.sessions[-1], is_right=True)

    @classmethod
    async def remove_everything(cls) -> None:
        async with cls.app.state.db.session() as session:
            for table in reversed(Base.metadata.sorted_tables):
                await session.execute(table.delete())

    async def _empty(self) -> None:
        await self.remove_everything()
        async with self.app.state.db.session() as session:
            await self.app.state.users.create(session, **ROOT, is_verified=True, is_superuser=True)
        await self._mails()

    # Talking to the application

    async def _send(self, method: str, path: str, **options: object) -> httpx.Response:
        answer = await self.client.request(method, f"/users{path}", **options)
        # The steps choose the browser, so the client keeps no cookies.
        self.client.cookies.clear()
        return answer

    def send(self, method: str, path: str, **options: object) -> httpx.Response:
        return self.loop.run_until_complete(self._send(method, path, **options))

    def expect(self, status: int, event: str, answer: httpx.Response) -> bool:
        """Check that *event* got the response that the model predicts. Returns whether it succeeded."""
        assert answer.status_code == status, f"{event}: {status} expected, {answer.status_code} {answer.text}"
        self.happened[f"{event} {status}"] += 1
        return status < 300

    async def _mails(self) -> list[tuple[str, str, str]]:
        """Purpose, token and address of the links e-mailed since the last call."""
        async with self.app.state.db.session() as session:
            mails = await pending_messages(session)
            await session.execute(Base.metadata.tables["mail_outbox"].delete())
        found = [
            (mail.to[0], re.search(r"http://test/users/([\w-]+)/(\S+)", mail.text_body)) for mail in mails
        ]
        return [(link[1], link[2], to) for to, link in found if link is not None]

    def links_of(self, account: Account | None, *expected: tuple[str, str]) -> None:
        """Collect the e-mails, whose purposes and addresses must match the model."""
        mailed = self.loop.run_until_complete(self._mails())
        assert [(purpose, address) for purpose, _, address in mailed] == list(expected)
        for purpose, token, address in mailed:
            self.world.links.append(Link(account, purpose, token, address, self.world.now + LINK))

    def headers(self, session: Session) -> dict[str, str]:
        if session.is_cookie:
            return {"Cookie": f"__Host-session={session.token}", "Sec-Fetch-Site": "same-origin"}
        return {"Authorization": f"Bearer {list(session.access)[-1]}"}

    def admits(self, session: Session) -> bool:
        """Whether the newest credential of *session* works; this counts as a use."""
        if session.is_cookie:
            is_open = self.world.is_alive(session)
        else:
            is_open = self.world.opens(session, list(session.access)[-1])
        if is_open:
            self.world.saw(session)
        return is_open

    def guarded(self, session: Session, *, recent: bool = True) -> int | None:
        """The status with which the login check refuses *session*, or None."""
        if not self.admits(session):
            return 401
        return 403 if recent and not self.world.is_recent(session) else None

    def started(self, account: Account, answer: httpx.Response, after: Session | None = None) -> Session:
        """The session that *answer* started. *after*: the session that it replaces."""
        now = self.world.now
        began = after.began if after is not None else now
        cookie = answer.cookies.get("__Host-session")
        token = cookie or answer.json()["refresh_token"]
        session = Session(account, token, began, authenticated=now, seen=now)
        if cookie is None:
            session.access[answer.json()["access_token"]] = now + ACCESS
        if after is not None:
            after.is_over = True
        self.world.sessions.append(session)
        return session

    def some_session(self, number: int) -> Session:
        return _one_of(self.world.sessions, number, self.world.is_alive)

    def some_link(self, purpose: str, number: int) -> Link:
        return _one_of(self.links_for(purpose), number, self.world.works)

    def some_account(self, number: int) -> Account:
        return _one_of(self.world.accounts, number, lambda each: each.exists)

    def links_for(self, purpose: str) -> list[Link]:
        return [each for each in self.world.links if each.purpose == purpose]

    # Otherwise steps without effect would fill the sequences.
    has_accounts = precondition(lambda self: any(each.exists for each in self.world.accounts))
    has_sessions = precondition(lambda self: any(map(self.world.is_alive, self.world.sessions)))

    # Creating accounts

    @rule(number=numbers, password=st.sampled_from(PASSWORDS))
    def register(self, number: int, password: str) -> None:
        self._register(_one_of(ADDRESSES, number, lambda each: self.world.account_of(each) is None), password)

    def _register(self, email: str, password: str) -> None:
        is_taken = self.world.account_of(email) is not None
        answer = self.send("POST", "/register", json={"email": email, "password": password})
        if self.expect(409 if is_taken else 201, "register", answer):
            account = Account(answer.json()["id"], email, password, answer.cookies["__Host-device"])
            self.world.accounts.append(account)
            self.links_of(account, ("verify", email))

    @rule(number=numbers, purpose=st.sampled_from(["verify", "password-reset"]))
    def request_link(self, number: int, purpose: str) -> None:
        self._request_link(_one_of(ADDRESSES, number, self.world.account_of), purpose)

    def _request_link(self, email: str, purpose: str) -> None:
        account = self.world.account_of(email)
        is_due = account is not None and account.is_active
        if purpose == "verify":
            is_due = is_due and not account.is_verified
        answer = self.send("POST", f"/{purpose}/request", json={"email": email})
        self.expect(202, f"request {purpose}", answer)
        self.links_of(account, *[(purpose, email)] * is_due)

    @precondition(lambda self: any(map(self.world.works, self.links_for("verify"))))
    @rule(number=numbers, proof=st.sampled_from(["browser", "login", "password", "wrong password", ""]))
    def verify(self, number: int, proof: str) -> None:
        link = self.some_link("verify", number)
        account = link.account
        logins = [each for each in self.world.sessions if each.account is account]
        body, headers, is_owner = {}, {}, proof in ("browser", "password")
        if proof == "browser":
            headers = {"Cookie": f"__Host-device={account.browser}"}
        elif proof == "login" and logins:
            headers, is_owner = self.headers(logins[-1]), self.admits(logins[-1])
        elif "password" in proof:
            body = {"password": account.password if proof == "password" else "nobody has this one"}
        works = self.world.works(link) and proof != "wrong password"
        answer = self.send("POST", f"/verify/{link.token}", json=body, headers=headers)
        if self.expect(200 if works else 400, f"verify with {proof or 'nothing'}", answer):
            account.is_verified = True
            if not is_owner:
                account.has_password = False
                self.world.renounce(account)
                self.links_of(account, ("password-reset", account.email))

    # Logins

    @rule(number=numbers, password=st.sampled_from(PASSWORDS), is_known=mostly)
    def log_in(self, number: int, password: str, is_known: bool) -> None:
        email = _one_of(ADDRESSES, number, self.world.account_of)
        account = self.world.account_of(email)
        self._log_in("/login", email, account.password if is_known and account else password)

    @rule(number=numbers, is_anew=st.booleans())
    def log_in_with_cookie(self, number: int, is_anew: bool) -> None:
        email = _one_of(ADDRESSES, number, self.world.account_of)
        account = self.world.account_of(email)
        cookies = [each for each in self.world.sessions if each.is_cookie]
        # The browser may already be logged in as anyone.
        former = cookies[number % len(cookies)] if cookies and is_anew else None
        self._log_in("/login/cookie", email, account.password if account else PASSWORDS[0], former)

    def _log_in(self, path: str, email: str, password: str, former: Session | None = None) -> None:
        account = self.world.account_of(email)
        is_right = account is not None and account.is_active and account.password == password
        is_right = is_right and account.has_password
        headers = self.headers(former) if former is not None else {"Sec-Fetch-Site": "same-origin"}
        answer = self.send("POST", path, json={"email": email, "password": password}, headers=headers)
        if is_right and account.has_factor:
            self._finish_login(path.removeprefix("/login"), account, answer, former)
        elif self.expect(200 if is_right else 401, f"log in {path}", answer):
            if former is not None:
                former.is_over = True
            self.started(account, answer)

    def _finish_login(
        self, kind: str, account: Account, answer: httpx.Response, former: Session | None
    ) -> None:
        assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
        cookies = [f"__Host-login={answer.cookies['__Host-login']}"]
        if former is not None:
            cookies.append(f"__Host-session={former.token}")
        headers = {"Cookie": "; ".join(cookies), "Sec-Fetch-Site": "same-origin"}
        is_new, what, body = self._answer_of(account, "/login/second-factor/passkey/options", headers)
        event = f"give a {what}"
        body["ticket"] = answer.json()["ticket"]
        entered = self.send("POST", f"/login/second-factor{kind}", json=body, headers=headers)
        if self.expect(200 if is_new else 401, event, entered):
            if former is not None:
                former.is_over = True
            self.started(account, entered)

    def _answer_of(
        self, account: Account, options: str, headers: dict[str, str]
    ) -> tuple[bool, str, dict[str, Any]]:
        """Create an answer to a second factor of *account*. Returns whether it is right, its kind
        and its body.

        The answer counts as used. It is the app's code or, if that code was used before, a passkey for
        *options* or a recovery code. If the account has neither, it is the used code again.
        """
        step = int(self.world.now.timestamp()) // 30
        is_new = account.app is not None and step > account.last_step
        if not is_new and account.phones:
            asked = self.send("POST", options, json={}, headers=headers)
            assert asked.status_code == 200, asked.text
            return True, "passkey", {"credential": _any_of(account.phones).get(asked.json())}
        if not is_new and account.recovery_codes:
            return True, "recovery code", {"recovery_code": account.recovery_codes.pop()}
        account.last_step = step
        return is_new, "code", {"code": account.app.at(self.world.now)}

    # Second factors

    @has_sessions
    @rule(number=numbers, is_right=mostly)
    def set_up_app(self, number: int, is_right: bool) -> None:
        self._set_up_app(self.some_session(number), is_right)

    def _set_up_app(self, session: Session, is_right: bool) -> None:
        account, headers = session.account, self.headers(session)
        unverified = 403 if not account.is_verified else None
        status = self.guarded(session) or unverified or (409 if account.app else 201)
        begun = self.send("POST", "/me/totp", headers=headers)
        if not self.expect(status, "begin an app", begun):
            return
        app, step = TOTP(begun.json()["secret"]), int(self.world.now.timestamp()) // 30
        code = app.at(self.world.now) if is_right else "no code"
        answer = self.send("POST", "/me/totp/confirm", json={"code": code}, headers=headers)
        if self.expect(200 if is_right else 400, "set up an app", answer):
            account.app, account.last_step = app, step
            self._factor_added(session, answer)

    @has_sessions
    @rule(number=numbers)
    def confirm_with_code(self, number: int) -> None:
        session = self.some_session(number)
        account, headers = session.account, self.headers(session)
        status = self.guarded(session, recent=False)
        is_new, what, body = False, "code", {"code": "no code"}
        if status is None and account.has_factor:
            is_new, what, body = self._answer_of(account, "/me/confirm/passkey/options", headers)
        answer = self.send("POST", "/me/confirm/second-factor", json=body, headers=headers)
        if self.expect(status or (204 if is_new else 400), f"confirm with a {what}", answer):
            self._confirmed(session, answer)

    @has_sessions
    @rule(number=numbers)
    def remove_app(self, number: int) -> None:
        session = self.some_session(number)
        status = self.guarded(session) or (204 if session.account.app else 404)
        answer = self.send("DELETE", "/me/totp", headers=self.headers(session))
        if self.expect(status, "remove the app", answer):
            session.account.app = None
            self._factor_removed(session)

    @has_accounts
    @rule(number=numbers)
    def reset_factors(self, number: int) -> None:
        account = self.some_account(number)
        answer = self.as_root("DELETE", f"/{account.id}/factors")
        if self.expect(204 if account.exists and account.has_factor else 404, "reset factors", answer):
            account.app = None
            account.phones.clear()
            account.recovery_codes.clear()
            self.world.end(account)

    def _factor_added(self, session: Session, answer: httpx.Response) -> None:
        """New recovery codes are issued only if the account has none."""
        account = session.account
        assert ("recovery_codes" in answer.json()) == (not account.recovery_codes)
        account.recovery_codes = answer.json().get("recovery_codes", account.recovery_codes)
        self.world.end(account, except_session=session)

    def _factor_removed(self, session: Session) -> None:
        if not session.account.has_factor:
            session.account.recovery_codes.clear()
        self.world.end(session.account, except_session=session)

    # Passkeys

    @has_sessions
    @rule(number=numbers, is_right=mostly)
    def add_passkey(self, number: int, is_right: bool) -> None:
        self._add_passkey(self.some_session(number), is_right)

    def _add_passkey(self, session: Session, is_right: bool) -> None:
        account, headers = session.account, self.headers(session)
        status = self.guarded(session) or (200 if account.is_verified else 403)
        asked = self.send("POST", "/me/passkeys/options", headers=headers)
        if not self.expect(status, "ask for a passkey", asked):
            return
        phone = Authenticator() if is_right else Authenticator(origin="https://evil.example")
        body = {"credential": phone.create(asked.json())}
        answer = self.send("POST", "/me/passkeys", json=body, headers=headers)
        if self.expect(201 if is_right else 400, "add a passkey", answer):
            account.phones[answer.json()["id"]] = phone
            self._factor_added(session, answer)

    @precondition(lambda self: any(each.phones for each in self.world.accounts))
    @rule(number=numbers, is_cookie=st.booleans(), is_right=mostly)
    def log_in_with_passkey(self, number: int, is_cookie: bool, is_right: bool) -> None:
        account = _one_of(self.world.accounts, number, lambda each: bool(each.phones))
        asked = self.send("POST", "/login/passkey/options")
        phone = replace(_any_of(account.phones), **({} if is_right else {"domain": "evil.example"}))
        path = f"/login/passkey{'/cookie' if is_cookie else ''}"
        cookie = f"__Host-passkey={asked.cookies['__Host-passkey']}"
        headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
        body = {"credential": phone.get(asked.json())}
        answer = self.send("POST", path, json=body, headers=headers)
        may = is_right and account.exists and account.is_active
        if self.expect(200 if may else 401, f"log in {path}", answer):
            self.started(account, answer)

    @has_sessions
    @rule(number=numbers)
    def remove_passkey(self, number: int) -> None:
        session = self.some_session(number)
        phones = session.account.phones
        passkey_id = next(iter(phones), "nothing")
        status = self.guarded(session) or (204 if phones else 404)
        answer = self.send("DELETE", f"/me/passkeys/{passkey_id}", headers=self.headers(session))
        if self.expect(status, "remove a passkey", answer):
            del phones[passkey_id]
            self._factor_removed(session)

    # Sessions

    @precondition(lambda self: any(map(self.world.is_alive, self.bearers())))
    @rule(number=numbers)
    def refresh(self, number: int) -> None:
        session = _one_of(self.bearers(), number, self.world.is_alive)
        self._refresh(session, session.token)

    @precondition(
        lambda self: any(each.replaced_tokens and self.world.is_alive(each) for each in self.bearers())
    )
    @rule(number=numbers)
    def refresh_again(self, number: int) -> None:
        replaced = [(each, token) for each in self.bearers() for token in each.replaced_tokens]
        self._refresh(*_one_of(replaced, number, lambda each: self.world.is_alive(each[0])))

    def bearers(self) -> list[Session]:
        return [each for each in self.world.sessions if not each.is_cookie]

    def _refresh(self, session: Session, token: str) -> None:
        now = self.world.now
        in_grace = [each for each, spent in session.replaced_tokens.items() if now < spent + GRACE]
        is_alive = self.world.is_alive(session)
        is_stolen = token != session.token and token not in in_grace
        answer = self.send("POST", "/token/refresh", json={"refresh_token": token})
        if self.expect(200 if is_alive and not is_stolen else 401, "refresh", answer):
            pair = answer.json()
            if token != session.token or len(in_grace) >= MOST_SPENT:
                self.happened["refresh within the grace"] += 1
                assert pair["refresh_token"] == session.token
            else:
                assert pair["refresh_token"] not in {session.token, *session.replaced_tokens}
                session.replaced_tokens[token], session.token, session.seen = now, pair["refresh_token"], now
            session.access[pair["access_token"]] = now + ACCESS
        elif is_alive:
            self.happened["refresh with a stolen token"] += 1
            session.is_over = True

    @has_sessions
    @rule(number=numbers, with_refresh_token=st.booleans())
    def log_out(self, number: int, with_refresh_token: bool) -> None:
        session = self.some_session(number)
        if with_refresh_token and not session.is_cookie:
            ends = self.world.is_alive(session)
            token = [*session.replaced_tokens, session.token][number % (len(session.replaced_tokens) + 1)]
            answer = self.send("POST", "/logout", json={"refresh_token": token})
        else:
            ends = self.admits(session)
            answer = self.send("POST", "/logout", headers=self.headers(session))
        self.expect(204, "log out", answer)
        session.is_over = session.is_over or ends

    @has_sessions
    @rule(number=numbers, password=st.sampled_from(PASSWORDS), is_known=mostly)
    def confirm(self, number: int, password: str, is_known: bool) -> None:
        session = self.some_session(number)
        password = session.account.password if is_known else password
        status = self.guarded(session, recent=False)
        status = status or (403 if session.account.has_factor else None)
        status = status or (204 if password == session.account.password else 400)
        answer = self.send("POST", "/me/confirm", json={"password": password}, headers=self.headers(session))
        if self.expect(status, "confirm", answer):
            self._confirmed(session, answer)

    def _confirmed(self, session: Session, answer: httpx.Response) -> None:
        if session.is_cookie:
            self.started(session.account, answer, after=session)
        else:
            session.authenticated = session.seen = self.world.now

    @has_sessions
    @rule(number=numbers)
    def end_other_sessions(self, number: int) -> None:
        session = self.some_session(number)
        status = self.guarded(session) or 204
        answer = self.send("DELETE", "/me/sessions", headers=self.headers(session))
        if self.expect(status, "end other sessions", answer):
            self.world.end(session.account, except_session=session)

    # Passwords

    @has_sessions
    @rule(
        number=numbers, password=st.sampled_from(PASSWORDS), is_known=mostly, new=st.sampled_from(PASSWORDS)
    )
    def change_password(self, number: int, password: str, is_known: bool, new: str) -> None:
        session = self.some_session(number)
        account = session.account
        password = account.password if is_known else password
        status = self.guarded(session, recent=False) or (200 if password == account.password else 400)
        body = {"current_password": password, "new_password": new}
        answer = self.send("POST", "/me/password", json=body, headers=self.headers(session))
        if self.expect(status, "change password", answer):
            account.password = new
            self.world.renounce(account)
            self.started(account, answer, after=session)

    @precondition(lambda self: any(map(self.world.works, self.links_for("password-reset"))))
    @rule(number=numbers, password=st.sampled_from([*PASSWORDS, "short"]))
    def reset(self, number: int, password: str) -> None:
        link = self.some_link("password-reset", number)
        works = self.world.works(link) and password != "short"
        answer = self.send("POST", f"/password-reset/{link.token}", json={"password": password})
        if self.expect(200 if works else 400, "reset", answer):
            link.account.password, link.account.has_password = password, True
            self.world.renounce(link.account)

    # Addresses

    @has_sessions
    @rule(number=numbers, email=st.sampled_from(ADDRESSES))
    def request_email_change(self, number: int, email: str) -> None:
        self._request_email_change(self.some_session(number), email)

    def _request_email_change(self, session: Session, email: str) -> None:
        account = session.account
        status = self.guarded(session) or (400 if email == account.email else 202)
        answer = self.send("POST", "/me/email", json={"new_email": email}, headers=self.headers(session))
        if self.expect(status, "request email change", answer):
            is_free = self.world.account_of(email) is None
            account.pending_email = email
            self.links_of(account, *[("email-change", email)] * is_free)

    @precondition(lambda self: any(map(self.world.works, self.links_for("email-change"))))
    @rule(
        number=numbers,
        proof=st.sampled_from(["login", "password"] * 2 + ["another login", "wrong password", ""]),
    )
    def confirm_email(self, number: int, proof: str) -> None:
        link = self.some_link("email-change", number)
        account = link.account
        body, headers, login = {}, {}, None
        if proof == "password":
            body = {"password": account.password}
        elif proof == "wrong password":
            body = {"password": "nobody has this one"}
        elif proof:
            is_owner = proof == "login"
            logins = [each for each in self.world.sessions if (each.account is account) == is_owner]
            login = logins[-1] if logins else None
        if login is not None:
            headers = self.headers(login)
            # All the application knows about another user's session is that it is not the owner's.
            login = login if self.admits(login) and login.account is account else None
        is_owner = login is not None or proof == "password"
        works = self.world.works(link) and is_owner
        answer = self.send("POST", f"/email-change/{link.token}", json=body, headers=headers)
        if self.expect(200 if works else 400, "confirm email", answer):
            account.email, account.pending_email, account.is_verified = link.address, None, True
            self.world.renounce(account, except_session=login)

    # Deletion and actions of a superuser

    @has_sessions
    @rule(number=numbers)
    def delete_own(self, number: int) -> None:
        session = self.some_session(number)
        status = self.guarded(session) or 204
        answer = self.send("DELETE", "/me", headers=self.headers(session))
        if self.expect(status, "delete own account", answer):
            self.world.delete(session.account)

    def as_root(self, method: str, path: str, **options: object) -> httpx.Response:
        token = self.send("POST", "/login", json=ROOT).json()["access_token"]
        return self.send(method, path, headers={"Authorization": f"Bearer {token}"}, **options)

    @has_accounts
    @rule(number=numbers, act=st.sampled_from(["end sessions", "send reset", "delete"]))
    def administer(self, number: int, act: str) -> None:
        account = self.some_account(number)
        if act == "end sessions":
            answer = self.as_root("DELETE", f"/{account.id}/sessions")
            if self.expect(204 if account.exists else 404, act, answer):
                self.world.end(account)
        elif act == "send reset":
            status = 404 if not account.exists else 202 if account.is_active else 409
            if self.expect(status, act, self.as_root("POST", f"/{account.id}/password-reset")):
                self.links_of(account, ("password-reset", account.email))
        else:
            answer = self.as_root("DELETE", f"/{account.id}")
            if self.expect(204 if account.exists else 404, act, answer):
                self.world.delete(account)

    @has_accounts
    @rule(number=numbers)
    def disable_or_enable(self, number: int) -> None:
        self._change(self.some_account(number), "is_active")

    @has_accounts
    @rule(number=numbers)
    def verify_or_not(self, number: int) -> None:
        self._change(self.some_account(number), "is_verified")

    def _change(self, account: Account, flag: str) -> None:
        value = not getattr(account, flag)
        answer = self.as_root("PATCH", f"/{account.id}", json={flag: value})
        if self.expect(200 if account.exists else 404, f"{flag} {value}", answer):
            if not value:
                self.world.renounce(account)
            setattr(account, flag, value)

    # Time

    @rule(
        seconds=st.sampled_from([10, 40, 40, 90, 11 * 60, 11 * 60, 16 * 60, 61 * 60, 10 * 86400, 15 * 86400]),
        do_tasks=st.booleans(),
    )
    def pass_time(self, seconds: int, do_tasks: bool) -> None:
        self.world.now += timedelta(seconds=seconds)
        for task in self.app.state.tasks if do_tasks else []:
            self.loop.run_until_complete(task.do())

    # After each step

    @invariant()
    def sessions_are_as_they_should_be(self) -> None:
        self.loop.run_until_complete(self._try_sessions())

    async def _try_sessions(self) -> None:
        for session in self.world.sessions:
            if session.is_cookie:
                await self._look(session, self.world.is_alive(session), f"__Host-session={session.token}")
            for access in session.access:
                await self._look(session, self.world.opens(session, access), access=access)

    async def _look(self, session: Session, is_open: bool, cookie: str = "", access: str = "") -> None:
        headers = {"Cookie": cookie} if cookie else {"Authorization": f"Bearer {access}"}
        answer = await self._send("GET", "/me", headers=headers)
        assert answer.status_code == (200 if is_open else 401), f"{session}: {answer.status_code}"
        if is_open:
            self.world.saw(session)
            account = session.account
            expected = {
                "id": account.id,
                "email": account.email,
                "is_active": True,
                "is_verified": account.is_verified,
                "is_superuser": False,
            }
            assert answer.json() == answer.json() | expected

    @invariant()
    def dead_links_are_dead(self) -> None:
        """Try the links that have just become invalid, and three of the others in turn. At the end of a
        sequence, try all of them.
        """
        dead = [each for each in self.world.links if not self.world.works(each)]
        fresh = [each for each in dead if each not in self.buried]
        old = [each for each in dead if each in self.buried]
        self.buried, self.turn = dead, self.turn + 3
        by_turns = [old[turn % len(old)] for turn in range(self.turn, self.turn + 3) if old]
        self.loop.run_until_complete(self._try_links([*fresh, *by_turns]))

    def teardown(self) -> None:
        self.loop.run_until_complete(
            self._try_links([each for each in self.world.links if not self.world.works(each)])
        )

    async def _try_links(self, links: list[Link]) -> None:
        for link in links:
            # The request contains everything that a valid link would need.
            password = link.account.password if link.purpose == "email-change" else PASSWORDS[0]
            body = None if link.purpose == "verify" else {"password": password}
            answer = await self._send("POST", f"/{link.purpose}/{link.token}", json=body)
            assert answer.status_code == 400, f"{link}: {answer.status_code}"


@pytest.fixture
def told(settings, migrated, quick_hashing, monkeypatch):
    """The application, event loop and clock of the sequences."""

    class Now(datetime):
        @classmethod
        def now(cls, tz=None):
            return Lifecycle.world.now

    seconds = SimpleNamespace(time=lambda: Lifecycle.world.now.timestamp())
    monkeypatch.setattr(clock, "now", Now.now)
    monkeypatch.setattr(tokens, "time", seconds)
    monkeypatch.setattr(hawkapi_auth._tokens, "time", seconds)
    monkeypatch.setattr(jwt.api_jwt, "datetime", Now)
    monkeypatch.setattr(hashing, "DUMMY_HASH", hashing.hash_password("nobody knows"))
    Lifecycle.app = create_app(settings)
    # Rate limits have their own tests. Here they would end every sequence.
    Lifecycle.app.state.users.limits = None
    Lifecycle.loop = asyncio.new_event_loop()
    Lifecycle.client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=Lifecycle.app), base_url="http://test"
    )
    Lifecycle.happened = Counter()
    yield Lifecycle
    Lifecycle.loop.run_until_complete(Lifecycle.remove_everything())
    Lifecycle.loop.run_until_complete(Lifecycle.app.state.db.dispose())
    Lifecycle.app.state.users.hasher.close()
    Lifecycle.loop.close()


def test_any_sequence_of_steps_matches_the_model(told, database_url):
    usual = "short" if database_url.startswith("sqlite") else "postgresql"
    name = os.environ.get("HYPOTHESIS_PROFILE", usual)

    run_state_machine_as_test(told, settings=PROFILES[name])

    print(f"{told.happened.total()} steps: {dict(sorted(told.happened.items()))}")
    assert told.happened.total() > 10 * PROFILES[name].max_examples
    assert name != "long" or set(told.happened) >= EVERYTHING
