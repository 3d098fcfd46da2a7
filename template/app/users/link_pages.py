"""The pages behind mailed links, for applications without a front end of their own.

No script, nothing from elsewhere; forms post to the address they were opened at, so the token is not in the
page. With VERIFY_URL, RESET_URL and EMAIL_CHANGE_URL set to your front end nobody comes here. Change the
texts freely.
"""

import html

from hawkapi.responses.response import Response

from app.users.passwords import MAX_LENGTH
from app.web.page import page_response


def verify_form() -> Response:
    return page_response(
        "Confirm your e-mail address",
        '<form method="post"><button type="submit">Confirm</button></form>',
    )


def verified(email: str) -> Response:
    return page_response(
        "Confirmed", f"<p>The address {html.escape(email)} is confirmed. You may close this page.</p>"
    )


def new_password_form(min_length: int, problem: str = "") -> Response:
    return page_response(
        "Set a new password",
        f"""{_alert(problem)}<form method="post">
<label for="password">New password, at least {min_length} characters</label>
<input id="password" name="password" type="password" autocomplete="new-password"
 minlength="{min_length}" maxlength="{MAX_LENGTH}" required>
<button type="submit">Set the password</button>
</form>""",
        status=400 if problem else 200,
    )


def password_was_set() -> Response:
    return page_response("Your password is set", "<p>You can now log in with it.</p>")


def email_change_form(problem: str = "") -> Response:
    return page_response(
        "Confirm your new e-mail address",
        f"""{_alert(problem)}<form method="post">
<label for="password">Your password</label>
<input id="password" name="password" type="password" autocomplete="current-password"
 maxlength="{MAX_LENGTH}" required>
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


def _alert(problem: str) -> str:
    return f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
