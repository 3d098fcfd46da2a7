"""The pages behind mailed links, for applications without a front end of their own.

No script, nothing from elsewhere; forms post to the address they were opened at, so the token is not in the
page. No field has a `maxlength`: browsers cut off what is pasted beyond it, in silence, and count some
characters twice. With VERIFY_URL, RESET_URL, EMAIL_CHANGE_URL and INVITATION_URL set to your front end nobody
comes here. Change the texts freely.
"""

import html

from hawkapi.responses.response import Response

from app.web.page import page_response


def verify_form(*, with_password: bool) -> Response:
    """*with_password*: the account was made in another browser, perhaps by somebody else."""
    field = """<label for="password">Your password</label>
<input id="password" name="password" type="password" autocomplete="current-password"
 aria-describedby="why">
<p id="why">The account was made in another browser. If you leave this empty, your address is confirmed all
the same, and you get a mail with a link to set a new password.</p>
"""
    return page_response(
        "Confirm your e-mail address",
        f"""<form method="post">
{field if with_password else ""}<button type="submit">Confirm</button>
</form>""",
    )


def verified(email: str) -> Response:
    return page_response(
        "Confirmed",
        f"<p>The address {html.escape(email)} is confirmed. If you have to set a new password, a mail with"
        " the link to do so is on its way.</p>",
    )


def invitation_form(email: str, min_length: int) -> Response:
    return _password_form(f"Choose a password for {email}", "Make the account", min_length)


def account_was_made(email: str) -> Response:
    return page_response(
        "Your account is ready",
        f"<p>You can now log in as {html.escape(email)} with your password.</p>",
        status=201,
    )


def new_password_form(min_length: int) -> Response:
    return _password_form("Set a new password", "Set the password", min_length)


def another_password_form(min_length: int, problem: str) -> Response:
    """For both forms that set a password; they post to the address they were opened at."""
    return _password_form("Choose another password", "Set the password", min_length, problem)


def _password_form(title: str, action: str, min_length: int, problem: str = "") -> Response:
    return page_response(
        title,
        f"""{_alert(problem)}<form method="post">
<label for="password">New password, at least {min_length} characters</label>
<input id="password" name="password" type="password" autocomplete="new-password"
 minlength="{min_length}" required>
<button type="submit">{action}</button>
</form>""",
        status=400 if problem else 200,
    )


def password_was_set() -> Response:
    return page_response("Your password is set", "<p>You can now log in with it.</p>")


def password_again(problem: str) -> Response:
    """For both forms that ask for the account's password; they post to the address they were opened at."""
    return _current_password_form("Your password", problem)


def email_change_form(problem: str = "") -> Response:
    return _current_password_form("Confirm your new e-mail address", problem)


def _current_password_form(title: str, problem: str) -> Response:
    return page_response(
        title,
        f"""{_alert(problem)}<form method="post">
<label for="password">Your password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Confirm</button>
</form>""",
        status=400 if problem else 200,
    )


def email_was_changed(email: str) -> Response:
    return page_response(
        "Your address is changed", f"<p>The address of your account is {html.escape(email)} now.</p>"
    )


def dead_link() -> Response:
    return page_response(
        "This link is not good any more",
        "<p>It has expired, was used already, or a newer one has taken its place. Ask for a new one.</p>",
        status=400,
    )


def try_later(problem: str, headers: dict[str, str]) -> Response:
    page = page_response("Too many attempts", _alert(problem), status=429)
    page.headers.update(headers)
    return page


def _alert(problem: str) -> str:
    return f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
