"""The errors that the users routes return, for the OpenAPI document: status, code, and when each is sent.

The responses themselves are in `error_handlers.py`.
"""

INVALID_CREDENTIALS = {
    401: {
        "invalid_credentials": "The response is the same for an unknown address, a wrong password, a disabled"
        " account and, if LOGIN_REQUIRES_VERIFICATION is true, an address that is not verified."
    }
}
SECOND_FACTOR = {
    401: {
        "second_factor_required": "The login also needs a second factor. Send it with the `ticket` from"
        " this response. `methods` lists the accepted ways to do so."
    }
}
CONFIRM_WITH_FACTOR = {
    403: {"confirm_with_second_factor": "The account has a second factor. Confirm with it instead."}
}
SESSION_ENDED = {401: {"session_ended": "The session has ended."}}
REFRESH_REFUSED = {401: {"session_ended": "The refresh token is no longer valid. Log in again."}}
CROSS_SITE = {
    403: {"cross_site_request": "The request comes from a page on another site, or has no Origin header."}
}
# Secret scanners mistake these messages for passwords.
WRONG_PASSWORD = {400: {"wrong_password": "The password is wrong."}}  # nosec B105 # pragma: allowlist secret
PASSWORD_REQUIRED = {
    400: {
        "password_required": "Send the account's password, or log in."  # nosec B105 # pragma: allowlist secret
    }
}
WEAK_PASSWORD = {
    400: {"weak_password": "The password is not allowed: `errors` says why."}  # nosec B105 # pragma: allowlist secret
}
INVALID_EMAIL = {400: {"invalid_email": "The e-mail address is not valid."}}
UNKNOWN_LANGUAGE = {400: {"unknown_language": "The application is not available in this language."}}
INVALID_LINK = {400: {"invalid_link": "The link is not valid, has expired or has already been used."}}
EMAIL_TAKEN = {409: {"email_taken": "The e-mail address already has an account."}}
LAST_SUPERUSER = {409: {"last_superuser": "The account is the last active superuser."}}
ACCOUNT_IN_USE = {
    409: {"account_in_use": "Other data refers to the account and would not be deleted with it."}
}
ACCOUNT_DISABLED = {409: {"account_disabled": "The account is disabled."}}
MAIL_EXPIRED = {409: {"mail_expired": "The link in the e-mail has expired."}}
UNKNOWN_MAIL = {404: "There is no set-aside e-mail with this number."}
UNKNOWN_ACCOUNT = {404: "The account does not exist."}
BUSY = {503: {"busy": "Too many passwords are being checked. Retry-After indicates when to try again."}}
