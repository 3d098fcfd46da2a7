"""Parses and normalizes e-mail addresses, and explains to users why an address is invalid."""

from email_validator import EmailNotValidError, validate_email

from app import i18n
from app.i18n import gettext as _
from app.users.exceptions import InvalidEmail

MAX_LENGTH = 254
"""Maximum length in characters (RFC 5321)."""
_MAX_TYPED = 1024
"""Longer text is not parsed, because parsing it would block the event loop."""


def parse_email(address: str) -> str:
    """*address* in its stored form: trimmed, in lower case, with its domain in ASCII (IDNA).

    The part before the @ must be ASCII, because few mail servers accept anything else. The domain is not
    looked up, because that would require a DNS query during the request. The verification e-mail shows
    whether the domain exists.

    Raises:
        InvalidEmail: the address is invalid. The message tells the user why.
    """
    address = address.strip()
    if len(address) > _MAX_TYPED:
        raise _too_long()
    try:
        parsed = validate_email(
            address,
            check_deliverability=False,
            allow_smtputf8=False,
            strict=True,
            # Allow test domains such as x.test, which never receive mail.
            test_environment=True,
        )
    except EmailNotValidError as error:
        # The library's messages are in English only.
        in_english = i18n.current_language() == i18n.SOURCE_LANGUAGE
        sentence = str(error) if in_english else _("This is not a valid e-mail address.")
        raise InvalidEmail(sentence) from None
    ascii_email = parsed.ascii_email
    if ascii_email is None or len(ascii_email) > MAX_LENGTH:
        raise _too_long()
    return ascii_email.lower()


def _too_long() -> InvalidEmail:
    return InvalidEmail(_("The e-mail address is longer than %(count)s characters.") % {"count": MAX_LENGTH})


def mailbox_of(address: str) -> str:
    """The mailbox that receives mail sent to *address*. `ada+shop@x.org` counts as `ada@x.org`.

    Many mail servers support sub-addresses (RFC 5233), which would give an attacker unlimited addresses.
    Aliases that only some servers support (ignored dots, catch-all domains) are not recognized.
    """
    local, at, domain = normalize_email(address).rpartition("@")
    return (local.partition("+")[0] or local) + at + domain


def normalize_email(address: str) -> str:
    """Like `parse_email`, but an invalid address is returned trimmed and in lower case. The result does
    not match any account."""
    try:
        return parse_email(address)
    except InvalidEmail:
        # Do not strip the shortened text again, or it could become another person's address.
        return "".join(_lower(each) for each in address.strip()[:_MAX_TYPED])


def _lower(character: str) -> str:
    # Never turn a non-ASCII character into an ASCII one: the Kelvin sign (U+212A) would become a k and match
    # another account (CWE-178).
    lower = character.lower()
    return character if lower.isascii() and not character.isascii() else lower
