"""The protections that SECURITY.md states, each as a change that takes it away. `mutations.py` tries them.

Each names the test that shows it: one of the row of the checklist where it has an `item`, else one of another
section. The text to replace has to be in the file once, or once in the function *within*; keep it short, so
that changes around it do not matter. What is left has to work in all other respects.
"""

import ast
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

MANAGER = "app/users/manager.py"
SESSIONS = "app/users/sessions.py"
TOKENS = "app/users/tokens.py"


class CannotBeApplied(LookupError):
    """The text of a mutation is not in its file, or there more than once."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """*new* in the place of *old*, in one file of a project."""

    file: str
    old: str
    new: str = ""
    within: str = ""
    """The function or class that *old* is looked for in; else it is the whole file."""

    def in_text(self, text: str) -> str:
        """*text* of the file, changed. Raises `CannotBeApplied`."""
        start, end = _spans(text).get(self.within, (0, 0)) if self.within else (0, len(text))
        found = text.count(self.old, start, end)
        if found != 1:
            where = f"{self.within}() in {self.file}" if self.within else self.file
            raise CannotBeApplied(
                f"This is {found} times in {where}, and has to be there once. The code has changed: adapt"
                f" the mutation in tests/protections.py.\n\n{self.old}\n"
            )
        return text[:start] + text[start:end].replace(self.old, self.new) + text[end:]


@dataclass(frozen=True, kw_only=True)
class Mutation(Change):
    """A protection that is taken away, and the test of the project that has to fail then."""

    name: str
    """The protection, in words."""
    test: str
    """As SECURITY.md names tests: file::function."""
    item: int | None = None
    """The row of the checklist."""
    also: tuple[Change, ...] = ()
    """What has to change with it, where two things hold one protection."""
    postgresql_only: bool = False
    """SQLite has one writer at a time, so nothing can be seen there."""

    @property
    def changes(self) -> tuple[Change, ...]:
        return (self, *self.also)

    def apply(self, project: Path) -> None:
        """Make the changes in the project in this folder. Raises `CannotBeApplied`."""
        for change in self.changes:
            path = project / change.file
            path.write_text(change.in_text(path.read_text("utf-8")), "utf-8")

    def has(self, text: str) -> bool:
        """Whether it is the one, or one of those, that *text* means: a number is an item."""
        if text.isdecimal():
            return self.item == int(text)
        return text.lower() in f"{self.name} {self.file} {self.test}".lower()


@cache
def _spans(text: str) -> dict[str, tuple[int, int]]:
    """Where each function and class of a module begins and ends; (0, 0) for a name that several have."""
    lines = text.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    spans: dict[str, tuple[int, int]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            span = starts[node.lineno - 1], starts[node.end_lineno or 0]
            spans[node.name] = (0, 0) if node.name in spans else span
    return spans


PROTECTIONS = [
    # 1 to 8: passwords
    Mutation(
        item=1,
        name="a short password is refused",
        file="app/users/passwords.py",
        old="if len(password) < min_length:",
        new="if False:",
        test="test_security_passwords.py::test_a_short_password_is_refused_every_way",
    ),
    Mutation(
        item=1,
        name="no setting makes the minimum less than eight",
        file="app/settings.py",
        old="int, Field(ge=8, le=128,",
        new="int, Field(ge=0, le=128,",
        test="test_security_passwords.py::test_a_minimum_below_eight_cannot_be_set",
    ),
    Mutation(
        item=1,
        name="a password of megabytes is refused",
        file="app/users/passwords.py",
        old="if len(password) > MAX_LENGTH:",
        new="if False:",
        test="test_security_passwords.py::test_an_endless_password_is_refused_every_way",
    ),
    Mutation(
        item=1,
        name="every character of a long password counts",
        file="app/users/passwords.py",
        old="lambda: hash_password(password)",
        new="lambda: hash_password(password[:50])",
        also=(
            Change(
                file="app/users/passwords.py",
                old="verify_password(password, hashed or",
                new="verify_password(password[:50], hashed or",
            ),
        ),
        test="test_security_passwords.py::test_a_long_password_is_taken_whole_every_way",
    ),
    Mutation(
        item=1,
        name="a password is kept as it was typed",
        file="app/users/passwords.py",
        old="lambda: hash_password(password)",
        new="lambda: hash_password(password.strip())",
        also=(
            Change(
                file="app/users/passwords.py",
                old="verify_password(password, hashed or",
                new="verify_password(password.strip(), hashed or",
            ),
        ),
        test="test_security_passwords.py::test_what_looks_alike_is_another_password",
    ),
    Mutation(
        item=1,
        name="a hash costs 64 MiB and 3 passes",
        file="app/users/passwords.py",
        old="lambda: hash_password(password)",
        new='lambda: __import__("argon2").PasswordHasher(1, 8, 1).hash(password)',
        test="test_security_passwords.py::test_a_password_is_stored_as_argon2id",
    ),
    Mutation(
        item=2,
        name="no kind of character is asked for",
        file="app/users/passwords.py",
        old="    if password.casefold() in common:",
        new="    if password.islower():\n"
        '        raise InvalidPassword("The password needs a digit.")\n'
        "    if password.casefold() in common:",
        test="test_security_passwords.py::test_no_kind_of_character_is_asked_for",
    ),
    Mutation(
        item=3,
        name="a common password is refused in any case",
        file="app/users/passwords.py",
        old="if password.casefold() in common:",
        new="if password in common:",
        test="test_security_passwords.py::test_every_password_of_the_list_is_refused",
    ),
    Mutation(
        item=3,
        name="the application has the list of common passwords",
        file="app/users/__init__.py",
        old="load_common=load_common_passwords,",
        test="test_security_passwords.py::test_a_common_password_is_refused_every_way",
    ),
    Mutation(
        item=3,
        name="the command line has the list of common passwords",
        file="app/users/__init__.py",
        old="load_common=load_common_passwords,",
        test="test_security_passwords.py::test_a_common_password_is_refused_by_the_command_line",
    ),
    Mutation(
        item=4,
        name="little more than a known word is refused",
        file="app/users/passwords.py",
        old="if own != plain and len(own) < LEAST_OWN_LENGTH:",
        new="if False:",
        test="test_security_passwords.py::test_little_more_than_a_known_word_is_refused_every_way",
    ),
    Mutation(
        item=4,
        name="the name of the application is a known word",
        file="app/users/password_policy.py",
        old="words={*words, *_with_parts(self.app_name)},",
        new="words=words,",
        test="test_security_passwords.py::test_little_more_than_a_known_word_is_refused_every_way",
    ),
    Mutation(
        item=4,
        name="the owner's names are known words",
        file="app/users/password_policy.py",
        old='domain.rpartition(".")[0], *names)',
        new='domain.rpartition(".")[0])',
        test="test_security_passwords.py::test_the_words_that_count",
    ),
    Mutation(
        item=5,
        name="a breached password is refused",
        file="app/users/password_policy.py",
        old="await self.breaches.knows(password):",
        new="not await self.breaches.knows(password) and False:",
        test="test_security_passwords.py::test_a_breached_password_is_refused_every_way",
    ),
    Mutation(
        item=5,
        name="five digits of the hash leave and no more",
        file="app/users/breaches.py",
        old="self._range(digest[:5])",
        new="self._range(digest)",
        test="test_security_passwords.py::test_five_digits_of_a_hash_are_all_that_leaves",
    ),
    Mutation(
        item=5,
        name="a server that is away stops nobody",
        file="app/users/breaches.py",
        old="            return False\n",
        new="            return True\n",
        test="test_security_passwords.py::test_an_outage_keeps_nobody_from_setting_a_password",
    ),
    Mutation(
        item=5,
        name="without the setting no server is asked",
        file="app/users/__init__.py",
        old="if not settings.password_breach_url:",
        new="if False:",
        test="test_security_passwords.py::test_without_the_setting_nobody_is_asked",
    ),
    Mutation(
        item=6,
        name="a change of the password needs the current one",
        file=MANAGER,
        within="_require_password",
        old="if is_right and (known",
        new='if event == "password_change" or is_right and (known',
        test="test_security_account.py::test_a_fresh_login_does_not_replace_the_current_password",
    ),
    Mutation(
        item=6,
        name="superusers set no password",
        file="app/users/schemas.py",
        within="Flags",
        old="is_superuser: bool | None = None",
        new="is_superuser: bool | None = None\n    password: str | None = None",
        also=(
            Change(
                file="app/users/routes/admin.py",
                old="is_active=body.is_active,",
                new="is_active=body.is_active, password=body.password,",
            ),
        ),
        test="test_security_account.py::test_there_is_no_other_way_to_set_a_password",
    ),
    Mutation(
        item=7,
        name="forms tell password managers what they ask for",
        file="app/users/pages/forms.html",
        old=' autocomplete="new-password"',
        test="test_security_links.py::test_every_form_helps_password_managers",
    ),
    Mutation(
        item=7,
        name="forms cut nothing off",
        file="app/users/pages/forms.html",
        old='minlength="{{ min_length }}"',
        new='minlength="{{ min_length }}" maxlength="64"',
        test="test_security_links.py::test_every_form_takes_what_is_pasted_as_it_is",
    ),
    Mutation(
        item=8,
        name="passwords do not expire",
        file=MANAGER,
        within="_verified",
        old="if not user.is_active:",
        new="if not user.is_active or clock.now() - user.created_at > timedelta(days=90):",
        test="test_security_passwords.py::test_a_password_does_not_grow_old",
    ),
    Mutation(
        item=8,
        name="there are no hints",
        file="app/users/schemas.py",
        within="Registration",
        old="password: NewPasswordText",
        new='password: NewPasswordText\n    password_hint: str = ""',
        test="test_security_passwords.py::test_there_are_no_hints_and_no_secret_questions",
    ),
    Mutation(
        item=8,
        name="a new database has no account",
        file="app/users/migrations/users_0001_initial.py",
        old="def downgrade()",
        new="_make_tables = upgrade\n\n\n"
        "def upgrade() -> None:\n"
        "    _make_tables()\n"
        "    op.execute(\n"
        '        "INSERT INTO users (id, email, hashed_password, is_active, is_verified, is_superuser,"\n'
        "        \" password_version) VALUES ('1', 'admin@example.com', 'x', true, true, true, 0)\"\n"
        "    )\n\n\n"
        "def downgrade()",
        test="test_security_passwords.py::test_a_fresh_database_has_no_account",
    ),
    # 9 to 12: guessing, and mails
    Mutation(
        item=9,
        name="wrong passwords are counted",
        file="app/users/limits.py",
        within="begin_attempt",
        old="if wait := await self._take(takes):",
        new="if (wait := await self._take(takes)) and False:",
        test="test_security_guessing.py::test_after_too_many_wrong_passwords_even_the_right_one_waits",
    ),
    Mutation(
        item=9,
        name="a success clears no count",
        file="app/users/limits.py",
        within="uncount",
        old="await _give_back(self._limiter, self._takes)",
        new="await self._limiter.clear()",
        test="test_security_guessing.py"
        "::test_a_success_on_one_account_does_not_clear_the_count_of_the_address",
    ),
    Mutation(
        item=9,
        name="an address that guesses is refused before its body is read",
        file="app/users/dependencies.py",
        old="await users.limits.look_at_passwords(client_of(request).network)",
        new="pass",
        test="test_security_guessing.py::test_an_address_is_refused_before_the_body_is_read",
    ),
    Mutation(
        item=9,
        name="a known browser has a count",
        file="app/users/limits.py",
        old='*_takes("wrong_password:browser", f"{account} {known}", limit.browser),',
        test="test_security_guessing.py::test_a_known_browser_has_a_count_of_its_own",
    ),
    Mutation(
        item=10,
        name="every spelling of an address shares one count",
        file=MANAGER,
        within="_begin_attempt",
        old="account, network = normalize_email(email),",
        new="account, network = email,",
        test="test_security_guessing.py::test_all_ways_share_one_count",
    ),
    Mutation(
        item=10,
        name="nobody but a proxy of ours says who the client is",
        file="app/web/client.py",
        within="address_of",
        old="trusted = _trusted(scope)",
        new='trusted = [ip_network("0.0.0.0/0")]',
        test="test_security_guessing.py::test_a_made_up_address_is_not_believed",
    ),
    Mutation(
        item=10,
        name="the addresses of one IPv6 network are one",
        file="app/web/client.py",
        old="(self.address, 64)",
        new="(self.address, 128)",
        test="test_security_guessing.py::test_addresses_of_one_ipv6_network_count_as_one",
    ),
    Mutation(
        item=10,
        name="a stolen session does not guess without end",
        file=MANAGER,
        within="confirm",
        old="known=row.id",
        new="known=str(uuid4())",
        test="test_security_guessing.py::test_a_stolen_session_does_not_guess_the_password_without_end",
    ),
    Mutation(
        item=10,
        name="wrong passwords in a session count for the account",
        file="app/users/limits.py",
        within="begin_attempt",
        old="[take for take in of_account if not await self._limiter.take(*take)]",
        new="[]",
        test="test_security_guessing.py::test_wrong_passwords_in_a_session_count_for_the_account",
    ),
    Mutation(
        item=11,
        name="a browser that was used before has a count of its own",
        file=MANAGER,
        within="authenticate",
        old="known = self._known_browser(browser, user)",
        new='known = ""',
        test="test_security_guessing.py::test_the_owner_gets_in_with_a_browser_that_was_used_before",
    ),
    Mutation(
        item=11,
        name="the lock that strangers cause ends by itself",
        file="app/users/limits.py",
        old='account="10/15m, 100/d"',
        new='account="10/d"',
        test="test_security_guessing.py::test_the_lock_of_strangers_ends_by_itself",
    ),
    Mutation(
        item=12,
        name="a mailbox gets only so many mails",
        file=MANAGER,
        within="_may_mail",
        old="self.limits is None or",
        new="True or",
        test="test_security_mails.py::test_a_mailbox_gets_no_more_than_so_many",
    ),
    Mutation(
        item=12,
        name="an address asks for only so many mails",
        file="app/users/dependencies.py",
        within="limited_by",
        old="await users.limits.count(row, address=client_of(request).network)",
        new="pass",
        test="test_security_mails.py::test_an_address_that_asks_for_everybody_is_refused",
    ),
    Mutation(
        item=12,
        name="the response does not tell that no mail was sent",
        file="app/users/limits.py",
        old="            return False\n        return True",
        new="            raise\n        return True",
        test="test_security_mails.py::test_the_answer_is_the_same_when_no_mail_goes_out",
    ),
    # 13 and 14: who has an account
    Mutation(
        item=13,
        name="asking for a reset does not tell who has an account",
        file=MANAGER,
        within="request_password_reset",
        old="await self._pretend(session)",
        new='raise NoSuchUser("There is no such account.")',
        test="test_security_enumeration.py::test_known_and_unknown_get_the_same_answer",
    ),
    Mutation(
        item=13,
        name="a log-in does not tell that an account is disabled",
        file="app/users/errors.py",
        within="refused",
        old='"The e-mail address or the password is wrong"',
        new="str(error)",
        test="test_security_enumeration.py::test_unknown_wrong_and_disabled_get_the_same_answer",
    ),
    Mutation(
        item=13,
        name="a change of the address does not tell who has an account",
        file=MANAGER,
        within="request_email_change",
        old="await self._pretend(session)",
        new='raise UserAlreadyExists("taken")',
        test="test_security_enumeration.py::test_a_taken_and_a_free_new_address_get_the_same_answer",
    ),
    Mutation(
        item=13,
        name="private registration does not tell who has an account",
        file=MANAGER,
        within="register",
        old='if self.registration == "open":',
        new="if True:",
        test="test_security_registration.py::test_a_new_and_a_taken_address_get_the_same_answer",
    ),
    Mutation(
        item=14,
        name="a log-in to no account costs a hash, too",
        file=MANAGER,
        within="_verified",
        old="is_right = await",
        new="is_right = user is not None and await",
        test="test_security_enumeration.py::test_each_failed_login_verifies_exactly_one_hash",
    ),
    Mutation(
        item=14,
        name="registering a taken address costs a hash, too",
        file=MANAGER,
        within="create",
        old="        # Both before the look-up",
        new="        if await self.get_by_email(session, email) is not None:\n"
        "            raise UserAlreadyExists(email)\n"
        "        # Both before the look-up",
        test="test_security_enumeration.py::test_a_taken_and_a_free_address_hash_once",
    ),
    Mutation(
        item=14,
        name="mail leaves after the response",
        file="app/mail/mailer.py",
        old="        enqueue(\n",
        new='        await __import__("hawkapi_mail").InMemoryBackend().send(message)\n        enqueue(\n',
        test="test_security_enumeration.py::test_no_mail_is_sent_while_anybody_waits_for_an_answer",
    ),
    Mutation(
        item=14,
        name="private registration of a taken address costs a mail, too",
        file=MANAGER,
        within="register",
        old='await self.notify(user, "already_registered")',
        new="pass",
        test="test_security_registration.py::test_a_new_and_a_taken_address_cost_the_same",
    ),
    Mutation(
        item=14,
        name="asking for a link for nobody costs a mail, too",
        file=MANAGER,
        within="_pretend",
        old="if self.decoy is not None:",
        new="if False:",
        test="test_security_enumeration.py::test_known_and_unknown_render_and_store_alike",
    ),
    # 15 to 22: sessions
    Mutation(
        item=15,
        name="a token has 32 bytes",
        file=SESSIONS,
        old="_SECRET_BYTES = 32",
        new="_SECRET_BYTES = 8",
        test="test_security_sessions.py::test_a_token_is_32_bytes_of_the_systems_randomness",
    ),
    Mutation(
        item=15,
        name="tokens come from the system's random source",
        file=SESSIONS,
        within="issue",
        old="secrets.token_bytes(_SECRET_BYTES)",
        new='__import__("random").randbytes(_SECRET_BYTES)',
        test="test_security_sessions.py::test_a_token_is_32_bytes_of_the_systems_randomness",
    ),
    Mutation(
        item=15,
        name="the database holds hashes of tokens",
        file=SESSIONS,
        old="return hashlib.sha256(secret).hexdigest()",
        new="return secret.hex()",
        test="test_security_sessions.py::test_the_database_holds_the_hash_alone",
    ),
    Mutation(
        item=15,
        name="a copy of the database makes no cookie",
        file=SESSIONS,
        old="return hashlib.sha256(secret).hexdigest()",
        new="return secret.hex()",
        test="test_security_sessions.py::test_what_the_database_holds_is_no_cookie",
    ),
    Mutation(
        item=15,
        name="a made-up token ends no session",
        file=SESSIONS,
        within="_parts",
        old="if not hmac.compare_digest(seal, self._seal(session_id, secret)):",
        new="if False:",
        test="test_security_sessions.py::test_what_the_database_holds_is_no_refresh_token",
    ),
    Mutation(
        item=16,
        name="a log-in ends the session that the browser had",
        file=MANAGER,
        within="log_in",
        old="await self.sessions.revoke(session, former)",
        new="pass",
        test="test_security_sessions.py::test_a_login_gives_a_new_cookie_and_the_old_one_is_dead",
    ),
    Mutation(
        item=16,
        name="a confirmation ends the cookie from before",
        file=SESSIONS,
        within="reissue",
        old=" or not await self.revoke(session, row)",
        test="test_security_sessions.py::test_a_confirmation_gives_a_new_cookie_and_the_old_one_is_dead",
    ),
    Mutation(
        item=17,
        name="a cookie that was planted is not the one after the log-in",
        file=MANAGER,
        within="log_in",
        old="return await self.sessions.issue(session, user, kind=kind, remember=remember)",
        new="issued = await self.sessions.issue(session, user, kind=kind, remember=remember)\n"
        "        return Issued(issued.row, user, instead_of or issued.token)",
        test="test_security_sessions.py"
        "::test_a_cookie_that_the_attacker_made_up_is_not_the_one_after_the_login",
    ),
    Mutation(
        item=17,
        name="a session that was planted is not the one after the log-in",
        file=MANAGER,
        within="log_in",
        old="await self.sessions.revoke(session, former)",
        new="return Issued(former, user, instead_of)",
        test="test_security_sessions.py"
        "::test_a_cookie_of_the_attackers_own_login_is_not_the_one_after_the_login",
    ),
    Mutation(
        item=18,
        name="a session that nobody uses ends",
        file=SESSIONS,
        within="is_alive",
        old="and now < row.last_seen_at + self.limits.idle",
        test="test_security_sessions.py::test_a_session_that_nobody_uses_ends",
    ),
    Mutation(
        item=18,
        name="a session that is used ends",
        file=SESSIONS,
        within="is_alive",
        old="and now < row.expires_at",
        test="test_security_sessions.py::test_a_session_that_is_used_all_the_time_ends_too",
    ),
    Mutation(
        item=18,
        name="refreshing makes no log-in recent",
        file=SESSIONS,
        within="rotate",
        old="last_seen_at=now,",
        new="last_seen_at=now, authenticated_at=now,",
        test="test_security_sessions.py::test_neither_use_nor_refreshing_makes_a_login_recent",
    ),
    Mutation(
        item=19,
        name="a log-out ends the session in the database",
        file=MANAGER,
        within="log_out",
        old="if await self.sessions.revoke(session, row):",
        new="if True:",
        test="test_security_sessions.py::test_what_was_logged_out_cannot_be_replayed",
    ),
    Mutation(
        item=19,
        name="whoever is logged out may log out",
        file="app/users/routes/sessions.py",
        within="logout",
        old="login: OptionalLogin",
        new="login: CurrentLogin",
        test="test_security_sessions.py::test_logging_out_works_when_logged_out_already",
    ),
    Mutation(
        item=20,
        name="a disabled account has no session",
        file=SESSIONS,
        within="is_alive",
        old="user.is_active\n            and row.revoked_at",
        new="row.revoked_at",
        test="test_security_sessions.py::test_every_login_is_dead_when_the_account_is_disabled_by_hand",
    ),
    Mutation(
        item=20,
        name="a deleted account is gone",
        file=MANAGER,
        within="delete",
        old="await session.execute(this_one.execution_options(synchronize_session=False))",
        new="pass",
        test="test_security_sessions.py::test_every_login_is_dead_on_the_next_request_when_the_account_is",
    ),
    Mutation(
        item=20,
        name="an account that is active again has no session from before",
        file=MANAGER,
        within="update",
        old=' or changes.get("is_active") is False',
        test="test_security_sessions.py::test_an_account_that_is_active_again_has_no_session_from_before",
    ),
    Mutation(
        item=21,
        name="a new password ends every session",
        file=SESSIONS,
        within="is_alive",
        old="and row.password_version == user.password_version",
        test="test_security_account.py"
        "::test_a_change_of_the_password_ends_every_session_and_gives_this_one_anew",
    ),
    Mutation(
        item=21,
        name="a new password ends every mailed link",
        file=TOKENS,
        within="_bound",
        old='if claims["pv"] != password_version:',
        new="if False:",
        test="test_security_account.py::test_a_change_of_the_password_ends_every_mailed_link",
    ),
    Mutation(
        item=21,
        name="a reset counts as a new password",
        file=MANAGER,
        within="_set_password",
        old="password_version=user.password_version + 1",
        new="password_version=user.password_version",
        test="test_security_account.py::test_a_reset_ends_every_session_and_every_mailed_link",
    ),
    Mutation(
        item=21,
        name="a log-in with the old password that a reset overtakes is refused",
        file=MANAGER,
        within="_verified",
        old="await self._lock(session, user) and user.password_version == version",
        new="await self._lock(session, user)",
        test="test_security_races.py::test_a_login_that_a_reset_overtakes_gives_no_good_token",
    ),
    Mutation(
        item=22,
        name="owners end their own sessions and no others",
        file=SESSIONS,
        within="_alive",
        old="UserSession.user_id == user.id,",
        test="test_security_account.py::test_nobody_ends_a_session_of_somebody_else",
    ),
    Mutation(
        item=22,
        name="ending a session ends it",
        file=MANAGER,
        within="end_session",
        old="if row is None or not await self.sessions.revoke(session, row):",
        new="if row is None:",
        test="test_security_account.py::test_owners_see_their_sessions_and_end_one",
    ),
    # 23 and 24: superusers, and what needs a recent log-in
    Mutation(
        item=23,
        name="superusers end the sessions of an account",
        file="app/users/routes/admin.py",
        within="end_sessions_of",
        old="await users.end_sessions(tx, await users.require(tx, user_id))",
        new="await users.require(tx, user_id)",
        test="test_security_admin.py::test_every_session_of_an_account_is_ended",
    ),
    Mutation(
        item=23,
        name="superusers set the flags and nothing else",
        file="app/users/schemas.py",
        within="Flags",
        old="is_superuser: bool | None = None",
        new="is_superuser: bool | None = None\n    email: str | None = None",
        also=(
            Change(
                file="app/users/routes/admin.py",
                old="is_active=body.is_active,",
                new="is_active=body.is_active, email=body.email,",
            ),
        ),
        test="test_security_admin.py::test_nothing_but_the_flags_can_be_set",
    ),
    Mutation(
        item=23,
        name="superusers do not see the link that they send",
        file="app/users/routes/admin.py",
        within="send_password_reset",
        old="return Accepted()",
        new="return Accepted(users.reset_token(user))",
        test="test_security_admin.py::test_whoever_sends_a_reset_link_does_not_see_it",
    ),
    Mutation(
        item=23,
        name="the last superuser stays one",
        file=MANAGER,
        within="_require_another_superuser",
        old="if active == {user.id}:",
        new="if False:",
        test="test_security_admin.py::test_the_last_superuser_stays_one",
    ),
    Mutation(
        item=23,
        name="of two superusers who take it from each other one stays one",
        file=MANAGER,
        within="_require_another_superuser",
        old="            .with_for_update()\n",
        test="test_security_admin.py::test_of_two_superusers_who_demote_each_other_one_stays",
        postgresql_only=True,
    ),
    Mutation(
        item=24,
        name="an old log-in is not recent",
        file="app/users/dependencies.py",
        within="recent_login",
        old="if not users.sessions.is_recent(login.session):",
        new="if False:",
        test="test_security_account.py::test_an_old_login_is_asked_for_the_password_first",
    ),
    Mutation(
        item=24,
        name="deleting the account needs a recent log-in",
        file="app/users/routes/account.py",
        within="delete_me",
        old="recent: RecentLogin, ",
        test="test_security_account.py::test_an_old_login_is_asked_for_the_password_first",
    ),
    Mutation(
        item=24,
        name="changing an account as a superuser needs a recent log-in",
        file="app/users/routes/admin.py",
        within="change_user",
        old="recent: RecentLogin,",
        test="test_security_admin.py::test_what_changes_an_account_needs_a_recent_login",
    ),
    Mutation(
        item=24,
        name="no response leads where the request says",
        file="app/users/routes/sessions.py",
        within="logout",
        old="    cookie = session_cookie(request)",
        new='    if target := request.query_params.get("next"):\n'
        '        raise __import__("hawkapi").HTTPException(303, headers={"Location": target})\n'
        "    cookie = session_cookie(request)",
        test="test_security_account.py::test_no_answer_leads_to_an_address_that_the_request_names",
    ),
    # 25 to 30: mailed links
    Mutation(
        item=25,
        name="the link alone does not change the address",
        file=MANAGER,
        within="change_email",
        old="if not owned:",
        new="if False:",
        test="test_security_account.py::test_an_address_changes_by_its_link_and_its_owner_alone",
    ),
    Mutation(
        item=25,
        name="the address changes when its link is used, and not before",
        file=MANAGER,
        within="request_email_change",
        old="self._change_once(session, user, pending_email=new_email)",
        new="self._change_once(session, user, pending_email=new_email, email=new_email)",
        test="test_security_account.py::test_an_address_changes_by_its_link_and_its_owner_alone",
    ),
    Mutation(
        item=25,
        name="the old address is told of the change",
        file=MANAGER,
        within="change_email",
        old='await self._tell(user, "email_changed", to=old_email, is_verified=was_verified)',
        test="test_security_account.py::test_an_address_changes_by_its_link_and_its_owner_alone",
    ),
    Mutation(
        item=25,
        name="an address that was taken meanwhile is refused",
        file=MANAGER,
        within="change_email",
        old="except IntegrityError:",
        new="except ZeroDivisionError:",
        test="test_security_account.py::test_an_address_that_somebody_took_meanwhile_is_refused",
    ),
    Mutation(
        item=26,
        name="opening a link changes nothing",
        file="app/users/routes/lifecycle.py",
        within="invitation_page",
        old="    return link_pages.invitation_form",
        new="    from app.database import writing_beside\n\n"
        "    async with writing_beside(tx) as session:\n"
        "        await users.invitations.remove(session, invitation.id)\n"
        "    return link_pages.invitation_form",
        test="test_security_links.py::test_opening_a_link_changes_nothing",
    ),
    Mutation(
        item=26,
        name="an invitation works once",
        file=MANAGER,
        within="accept_invitation",
        old="if not await self.invitations.remove(session, invitation.id):",
        new="if False:",
        test="test_security_links.py::test_a_link_works_once_in_whatever_way",
    ),
    Mutation(
        item=26,
        name="of two resets at once one wins",
        file=MANAGER,
        within="_change_once",
        old="self.model.password_version == user.password_version,",
        test="test_security_links.py::test_of_two_uses_at_once_one_wins",
    ),
    Mutation(
        item=26,
        name="of two verifications at once one wins",
        file=MANAGER,
        within="verify",
        old="session, user, self.model.is_verified.is_(False), **values",
        new="session, user, **values",
        test="test_security_links.py::test_of_two_uses_at_once_one_wins",
    ),
    Mutation(
        item=27,
        name="a token is for one purpose",
        file=TOKENS,
        within="_issuer",
        old="config = self.config",
        new='config, purpose = self.config, "any"',
        test="test_security_tokens.py::test_a_token_is_refused_for_another_purpose",
    ),
    Mutation(
        item=27,
        name="a token is for the one who is in it, by its signature",
        file=TOKENS,
        within="_checked",
        old="claims = issuer.verify_access(token)",
        new='claims = __import__("jwt").decode(token, options={"verify_signature": False})',
        test="test_security_tokens.py::test_a_token_rewritten_for_another_account_is_refused",
    ),
    Mutation(
        item=27,
        name="a token is for the address that it was mailed to",
        file=TOKENS,
        within="_bound",
        old='if email is not None and claims.get("adr")',
        new='if False and claims.get("adr")',
        test="test_security_tokens.py::test_a_token_is_of_no_use_for_an_address_that_it_was_not_mailed_to",
    ),
    Mutation(
        item=27,
        name="a token from before a change of the address is dead",
        file=MANAGER,
        within="change_email",
        old="password_version=user.password_version + 1,",
        also=(
            Change(
                file=TOKENS,
                within="_bound",
                old='if email is not None and claims.get("adr")',
                new='if False and claims.get("adr")',
            ),
        ),
        test="test_security_tokens.py::test_a_token_from_before_a_change_of_address_is_refused",
    ),
    Mutation(
        item=27,
        name="a token expires",
        file=TOKENS,
        within="_issuer",
        old="access_ttl_seconds=ttl,",
        new="access_ttl_seconds=10**9,",
        test="test_security_tokens.py::test_an_expired_token_is_refused",
    ),
    Mutation(
        item=28,
        name="a password is checked before the link to reset it is spent",
        file=MANAGER,
        within="reset_password",
        old="await self._check_password(new_password, context_words(user.email, vars(user)))\n",
        new="\n",
        also=(
            Change(
                file=MANAGER,
                within="reset_password",
                old='            raise TokenError("token was used already")\n',
                new='            raise TokenError("token was used already")\n'
                "        await session.commit()\n"
                "        await self._check_password(new_password, context_words(user.email, vars(user)))\n",
            ),
        ),
        test="test_security_links.py::test_a_refused_password_does_not_spend_the_link",
    ),
    Mutation(
        item=28,
        name="a password is checked before an invitation is spent",
        file=MANAGER,
        within="accept_invitation",
        old="        if transaction_is_ours:\n",
        new="        await self.invitations.remove(session, invitation.id)\n"
        "        if transaction_is_ours:\n",
        test="test_security_links.py::test_a_refused_password_does_not_spend_the_link",
    ),
    Mutation(
        item=28,
        name="a link logs nobody in",
        file=MANAGER,
        within="reset_password",
        old='        audit.record(session, "password_reset"',
        new="        await self.sessions.issue(session, user)\n"
        '        audit.record(session, "password_reset"',
        test="test_security_links.py::test_a_link_logs_nobody_in",
    ),
    Mutation(
        item=29,
        name="whoever verifies another's account gets it",
        file=MANAGER,
        within="verify",
        old="is_theirs = bool(password or known) or",
        new="is_theirs = True or",
        test="test_security_registration.py::test_who_verifies_anothers_account_gets_it",
    ),
    Mutation(
        item=29,
        name="whoever resets the password of another's account gets it",
        file=MANAGER,
        within="_set_password",
        old="password_version=user.password_version + 1",
        new="password_version=user.password_version",
        test="test_security_registration.py::test_who_resets_the_password_of_anothers_account_gets_it",
    ),
    Mutation(
        item=29,
        name="the cookie of a taken address makes no browser known",
        file="app/users/routes/registration.py",
        within="register_privately",
        old="remember_browser(request, users, None)",
        new="remember_browser(request, users, await users.get_by_email(tx, body.email))",
        test="test_security_registration.py::test_who_registers_again_does_not_confirm_anothers_password",
    ),
    Mutation(
        item=30,
        name="links are made from BASE_URL",
        file="app/users/emails.py",
        within="mail_password_reset",
        old="reset_url_template=settings.reset_url,",
        new="reset_url_template=settings.reset_url.replace(\n"
        '            "http://test", "http://" + session_of(user).info["request"].headers["host"]\n'
        "        ),",
        test="test_security_links.py::test_no_link_follows_the_request",
    ),
    Mutation(
        item=30,
        name="no response of a link is kept",
        file="app/web/page.py",
        old='"Cache-Control": "no-store",',
        test="test_security_links.py::test_no_answer_is_kept_and_none_passes_its_address_on",
    ),
    Mutation(
        item=30,
        name="no page passes on the URL that it was opened at",
        file="app/web/headers.py",
        old='(b"referrer-policy", b"no-referrer"),',
        test="test_security_links.py::test_no_answer_is_kept_and_none_passes_its_address_on",
    ),
    # 34 to 37: cookies and tokens
    Mutation(
        item=34,
        name="no script reads the cookie",
        file="app/web/cookies.py",
        old="http_only: bool = True",
        new="http_only: bool = False",
        test="test_security_cookies.py"
        "::test_the_cookie_is_out_of_reach_of_scripts_sites_hosts_and_plain_http",
    ),
    Mutation(
        item=34,
        name="no other host sets the cookie",
        file="app/users/cookies.py",
        old='SECURE_NAME = "__Host-session"',
        new='SECURE_NAME = "session"',
        test="test_security_cookies.py"
        "::test_the_cookie_is_out_of_reach_of_scripts_sites_hosts_and_plain_http",
    ),
    Mutation(
        item=34,
        name="the cookie does not travel over plain http",
        file="app/users/cookies.py",
        within="give_cookie",
        old="secure=_is_secure(request),",
        new="secure=False,",
        test="test_security_cookies.py"
        "::test_the_cookie_is_out_of_reach_of_scripts_sites_hosts_and_plain_http",
    ),
    Mutation(
        item=34,
        name="a cookie without Secure has another name",
        file="app/users/cookies.py",
        within="_name",
        old="SECURE_NAME if _is_secure(request) else PLAIN_NAME",
        new="SECURE_NAME",
        test="test_security_cookies.py::test_plain_http_uses_another_name_and_only_by_setting",
    ),
    Mutation(
        item=35,
        name="another site does nothing with a cookie",
        file="app/users/dependencies.py",
        within="find_login",
        old="require_same_origin(request)",
        new="pass",
        test="test_security_cookies.py::test_no_unsafe_route_takes_a_cookie_from_another_site",
    ),
    Mutation(
        item=35,
        name="another site logs no browser in",
        file="app/users/routes/sessions.py",
        old="        Depends(require_same_origin),\n",
        test="test_security_cookies.py::test_another_site_cannot_log_a_browser_in",
    ),
    Mutation(
        item=35,
        name="another host of this site is another site",
        file="app/web/origin.py",
        old='site == "same-origin"',
        new='site in ("same-origin", "same-site")',
        test="test_security_cookies.py::test_another_site_cannot_log_a_browser_in",
    ),
    Mutation(
        item=35,
        name="a bearer token needs no origin",
        file="app/users/dependencies.py",
        within="find_login",
        old="    transaction_is_ours",
        new="    require_same_origin(request)\n    transaction_is_ours",
        test="test_security_cookies.py::test_a_bearer_token_needs_no_origin",
    ),
    Mutation(
        item=36,
        name="access tokens have one algorithm",
        file=TOKENS,
        within="_checked",
        old="claims = issuer.verify_access(token)",
        new='claims = __import__("jwt").decode(\n'
        "        token,\n"
        "        issuer.config.secret,\n"
        '        algorithms=["HS256", "HS384", "HS512"],\n'
        "        audience=issuer.config.audience,\n"
        "        issuer=issuer.config.issuer,\n"
        "    )",
        test="test_security_refresh.py::test_another_algorithm_is_refused",
    ),
    Mutation(
        item=36,
        name="access tokens have every claim",
        file=TOKENS,
        within="_checked",
        old='"iat": int, ',
        test="test_security_refresh.py::test_no_claim_may_be_missing",
    ),
    Mutation(
        item=36,
        name="mailed tokens have every claim",
        file=TOKENS,
        within="_checked",
        old='"iat": int, ',
        test="test_security_tokens.py::test_no_claim_may_be_missing_or_another",
    ),
    Mutation(
        item=36,
        name="each purpose has a key",
        file=TOKENS,
        within="_issuer",
        old="secret=derived_key(config.secret, purpose)",
        new="secret=derived_key(config.secret, VERIFY_TYPE)",
        test="test_security_refresh.py::test_the_key_of_another_purpose_is_refused",
    ),
    Mutation(
        item=36,
        name="each purpose has an audience",
        file=TOKENS,
        within="_issuer",
        old="""audience=f"{config.audience or 'app'}:{purpose}",""",
        test="test_security_refresh.py::test_no_claim_may_be_another",
    ),
    Mutation(
        item=36,
        name="user and session of an access token belong together",
        file="app/users/dependencies.py",
        within="_by_access_token",
        old="or user.id != user_id",
        test="test_security_refresh.py::test_the_session_of_another_user_is_refused",
    ),
    Mutation(
        item=36,
        name="an access token is for a bearer session",
        file="app/users/dependencies.py",
        within="_by_access_token",
        old="row.kind != BEARER or",
        test="test_security_refresh.py::test_the_session_of_a_cookie_is_refused",
    ),
    Mutation(
        item=36,
        name="rights are read from the database each time",
        file="app/users/dependencies.py",
        within="superuser",
        old="if not user.is_superuser:",
        new="if not superuser.__dict__.setdefault(user.id, user.is_superuser):",
        test="test_security_refresh.py::test_a_change_of_role_acts_on_the_next_request",
    ),
    Mutation(
        item=37,
        name="a refresh token is replaced only if it is still the present one",
        file=SESSIONS,
        within="rotate",
        old="UserSession.secret_hash == row.secret_hash,",
        test="test_security_refresh.py::test_rotation_is_atomic",
    ),
    Mutation(
        item=37,
        name="a refresh brings no session back that has ended meanwhile",
        file=SESSIONS,
        within="rotate",
        old="UserSession.revoked_at.is_(None),",
        test="test_security_refresh.py::test_a_refresh_that_a_log_out_overtakes_gives_no_tokens",
    ),
    Mutation(
        item=37,
        name="a replaced refresh token is known again",
        file=SESSIONS,
        within="_present",
        old="if replaced_at is None or clock.now() >= replaced_at + self.limits.grace:",
        new="if replaced_at is None:",
        test="test_security_refresh.py::test_a_replay_after_the_grace_ends_the_session_for_thief_and_owner",
    ),
    Mutation(
        item=37,
        name="a replay ends the session although the response is an error",
        file=MANAGER,
        within="refresh",
        old="await session.commit()",
        new="pass",
        test="test_security_refresh.py::test_a_replay_after_the_grace_ends_the_session_for_thief_and_owner",
    ),
    Mutation(
        item=37,
        name="within the grace a second use is no replay",
        file=SESSIONS,
        within="_present",
        old="clock.now() >= replaced_at + self.limits.grace",
        new="True",
        test="test_security_refresh.py::test_a_replay_inside_the_grace_revokes_nothing",
    ),
    # 38 to 40: rights, logs, production
    Mutation(
        item=38,
        name="registering sets no flag",
        file="app/users/schemas.py",
        within="Registration",
        old="password: NewPasswordText",
        new="password: NewPasswordText\n    is_superuser: bool = False",
        test="test_security_admin.py::test_who_registers_is_an_ordinary_user_whatever_else_is_sent",
    ),
    Mutation(
        item=38,
        name="an owner sets no flag",
        file="app/users/schemas.py",
        within="EmailChange",
        old="new_email: NewEmailText",
        new="new_email: NewEmailText\n    is_superuser: bool = False",
        also=(
            Change(
                file="app/users/routes/account.py",
                within="request_email_change",
                old="    return Accepted()",
                new="    user.is_superuser = body.is_superuser\n    return Accepted()",
            ),
        ),
        test="test_security_admin.py::test_what_owners_send_makes_them_nothing_more",
    ),
    Mutation(
        item=38,
        name="administration is for superusers",
        file="app/users/dependencies.py",
        within="superuser",
        old="if not user.is_superuser:",
        new="if False:",
        test="test_security_admin.py::test_an_ordinary_user_does_not_administrate",
    ),
    Mutation(
        item=39,
        name="a failed log-in is written down although the response is an error",
        file=MANAGER,
        within="authenticate",
        old='outcome="failure", method="password")\n            if transaction_is_ours:',
        new='outcome="failure", method="password")\n            if False:',
        test="test_security_audit.py::test_a_login_and_a_failed_one_are_written_down_once_each",
    ),
    Mutation(
        item=39,
        name="a log-in is written down",
        file=MANAGER,
        within="authenticate",
        old='audit.record(session, "login", user.id, method="password")',
        test="test_security_audit.py::test_a_login_and_a_failed_one_are_written_down_once_each",
    ),
    Mutation(
        item=39,
        name="no password is logged",
        file=MANAGER,
        within="_check_password",
        old="        await self.policy",
        new='        __import__("logging").getLogger("app.users").info("checking %s", password)\n'
        "        await self.policy",
        test="test_security_audit.py::test_a_life_leaves_nothing_secret_in_the_log",
    ),
    Mutation(
        item=39,
        name="no token of a path is logged",
        file="app/web/application.py",
        old='if result is not None and "token" in result.params:',
        new="if False:",
        also=(Change(file="app/web/access.py", old="_LONGEST_PART = 36", new="_LONGEST_PART = 3600"),),
        test="test_security_logs.py::test_a_life_of_an_account_leaves_no_secret_in_the_log",
    ),
    Mutation(
        item=39,
        name="no secret is taken from a URL",
        file="app/users/dependencies.py",
        within="_access_token",
        old='    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")',
        new='    if given := request.query_params.get("access_token"):\n'
        "        return given\n"
        '    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")',
        test="test_security_audit.py::test_no_secret_is_taken_from_an_address",
    ),
    Mutation(
        item=39,
        name="an error of the database shows no values",
        file="app/database.py",
        old='{"hide_parameters": True}',
        new="{}",
        test="test_security_audit.py::test_an_error_of_the_database_is_logged_without_what_was_to_be_written",
    ),
    Mutation(
        item=39,
        name="no repr shows a password",
        file="app/users/schemas.py",
        within="Secret",
        old="def __repr__(self)",
        new="def hidden(self)",
        test="test_security_audit.py::test_the_repr_of_what_holds_a_secret_does_not_show_it",
    ),
    Mutation(
        item=39,
        name="what looks like a secret is redacted",
        file="app/redaction.py",
        within="redact",
        old="text = pattern.sub(replacement, text)",
        new="pattern.sub(replacement, text)",
        test="test_security_logs.py::test_a_hook_that_raises_with_a_secret_in_its_text_does_not_show_it",
    ),
    Mutation(
        item=40,
        name="no other site shows a response in a frame",
        file="app/web/headers.py",
        old="; form-action 'self'; frame-ancestors 'none'",
        new="; form-action 'self'",
        test="test_security_headers.py::test_every_answer_tells_browsers_to_be_careful",
    ),
    Mutation(
        item=40,
        name="browsers do not guess what a response is",
        file="app/web/headers.py",
        old='(b"x-content-type-options", b"nosniff"),',
        test="test_security_headers.py::test_every_answer_tells_browsers_to_be_careful",
    ),
    Mutation(
        item=40,
        name="browsers keep to https",
        file="app/web/layers.py",
        old="strict_transport_security(settings)",
        new='b""',
        test="test_security_headers.py::test_every_answer_tells_browsers_to_be_careful",
    ),
    Mutation(
        item=40,
        name="the documentation is closed in production",
        file="app/settings.py",
        old='lambda data: data.get("environment") != "production"',
        new="lambda data: True",
        test="test_security_headers.py::test_the_documentation_is_closed_in_production",
    ),
    Mutation(
        item=40,
        name="a placeholder is no secret",
        file="app/settings.py",
        within="_unsafe",
        old="if not looks_random(secret):",
        new="if False:",
        test="test_security_headers.py::test_production_does_not_start_with_a_placeholder_or_with_debug_on",
    ),
    Mutation(
        item=40,
        name="production does not debug",
        file="app/settings.py",
        within="_unsafe",
        old="if settings.debug:",
        new="if False:",
        test="test_security_headers.py::test_production_does_not_start_with_a_placeholder_or_with_debug_on",
    ),
    Mutation(
        item=40,
        name="production is reached by https",
        file="app/settings.py",
        within="_unsafe",
        old='if not settings.base_url.startswith("https://"):',
        new="if False:",
        test="test_security_production.py::test_production_does_not_start_with_what_travels_unencrypted",
    ),
    Mutation(
        item=40,
        name="the cookie of production is Secure",
        file="app/settings.py",
        within="_unsafe",
        old="if not settings.cookie_secure:",
        new="if False:",
        test="test_security_production.py::test_production_does_not_start_with_what_travels_unencrypted",
    ),
    Mutation(
        item=40,
        name="the text of an unexpected error is not shown",
        file="app/web/application.py",
        old="if self.debug and answer.status_code == 500:",
        new="if answer.status_code == 500:",
        test="test_security_headers.py::test_an_unexpected_error_is_not_shown_in_production",
    ),
    Mutation(
        item=40,
        name="there is no page for whoever is logged in",
        file="app/users/routes/account.py",
        within="me",
        old="    return public(user)",
        new='    return __import__("app.web.page").web.page.page_response(user.email, "")',
        test="test_security_production.py::test_there_is_no_page_for_whoever_is_logged_in",
    ),
    # The other sections: requests and responses
    Mutation(
        name="a URL has a largest size",
        file="app/web/request_limits.py",
        old='if len(path) + len(scope["query_string"]) > MAX_ADDRESS:',
        new="if False:",
        test="test_request_limits.py::test_an_address_has_8192_bytes_at_most",
    ),
    Mutation(
        name="headers have a largest size",
        file="app/web/request_limits.py",
        old='for name, value in scope["headers"]]) > headers:',
        new='for name, value in scope["headers"]]) < 0:',
        test="test_request_limits.py::test_headers_have_max_header_size_bytes_at_most",
    ),
    Mutation(
        name="a body has a largest size",
        file="app/main.py",
        old="max_body_size=settings.max_body_size,",
        new="max_body_size=10**9,",
        test="test_register.py::test_a_body_that_is_too_large_is_refused_before_it_is_read",
    ),
    Mutation(
        name="a body has to arrive in time",
        file="app/web/time_limits.py",
        within="receive",
        old="self.limit.reschedule(began + self._body_left)",
        new="self.limit.reschedule(None)",
        test="test_time_limits.py::test_a_body_that_drips_is_given_up",
    ),
    Mutation(
        name="unknown host names are refused",
        file="app/web/layers.py",
        old="app = check_host(app, settings.allowed_hosts)",
        new="app = check_host(app, [])",
        test="test_hosts.py::test_another_name_is_refused",
    ),
    Mutation(
        name="pages of other sites send no cookie",
        file="app/web/layers.py",
        old="allow_origins=settings.cors_origins,",
        new="allow_origins=settings.cors_origins,\n                allow_credentials=True,",
        test="test_cors.py::test_a_preflight_allows_tokens_and_no_cookies",
    ),
    Mutation(
        name="several processes in production share their limits",
        file="app/cli/server.py",
        within="_say_that_each_counts_alone",
        old='if environment == "production":',
        new="if False:",
        test="test_cli.py::test_several_processes_need_redis_in_production",
    ),
    # The other sections: what to know, and who is told
    Mutation(
        name="nobody behind the application is taken for a proxy",
        file="app/settings.py",
        old="    ] = []\n    max_body_size",
        new='    ] = [ip_network("0.0.0.0/0")]\n    max_body_size',
        test="test_settings.py::test_no_proxy_is_trusted_by_default",
    ),
    Mutation(
        name="a session that ended while the body was read asks for no address",
        file="app/users/dependencies.py",
        within="still_logged_in",
        old="await users.sessions.by_id(tx, login.session.id)",
        new="pass",
        test="test_security_slow_requests.py::test_an_address_asked_for_by_a_login_that_was_ended_is_refused",
    ),
    Mutation(
        name="a superuser who is none when the body has come gives no right",
        file="app/users/dependencies.py",
        within="still_superuser",
        old="return await superuser(login.user)",
        new="return login.user",
        test="test_security_slow_requests.py"
        "::test_a_superuser_who_was_one_when_the_request_began_gives_no_rights",
    ),
    Mutation(
        name="the export leaves out what is nobody's business",
        file="app/users/export.py",
        old='if not column.info.get("secret")]',
        new="]",
        test="test_export.py::test_nothing_secret_is_in_it",
    ),
    Mutation(
        name="owners are told of a new browser",
        file=MANAGER,
        within="_tell_of_unseen_browser",
        old='await self._tell(user, "new_sign_in")',
        new="pass",
        test="test_notices.py::test_another_browser_is_told_once",
    ),
    Mutation(
        name="owners are told of a session that ended because its token came twice",
        file=MANAGER,
        within="refresh",
        old='await self._tell(reuse.user, "session_reuse")',
        test="test_notices.py::test_the_owner_is_told_once",
    ),
    Mutation(
        name="owners are told of a new password",
        file=MANAGER,
        within="change_password",
        old='await self._tell(user, "password_changed")',
        test="test_notices.py::test_the_owner_is_told_once",
    ),
    Mutation(
        name="whoever reads Redis learns nobody",
        file="app/limits/redis.py",
        old="bucket_name(key, rate, self._secret)",
        new="key",
        test="test_redis_limiter.py::test_who_reads_redis_learns_nobody",
    ),
    Mutation(
        name="whoever fills the table of counts frees nobody",
        file="app/limits/memory.py",
        within="_bucket_of",
        old='return f"shared {number} {rate.count}/{rate.interval}"',
        new="self._full_at.clear()\n        return name",
        test="test_memory_limiter.py::test_filling_the_table_frees_nobody",
    ),
]
