"""E-mail addresses: one spelling for each mailbox, and a sentence for what is not an address."""

from email_validator import EmailNotValidError, validate_email

from app.users.exceptions import InvalidEmail

MAX_LENGTH = 254
"""Characters; RFC 5321 leaves room for no more."""


def parse_email(address: str) -> str:
    """The one spelling under which *address* is stored: trimmed, lower case, the domain in ASCII (IDNA).

    The part before the @ must be ASCII: few mail servers accept anything else. Whether the domain exists is
    not asked (that would be a DNS query in a request); the verification mail finds out.

    Raises:
        InvalidEmail: with a sentence for the person who typed it.
    """
    try:
        parsed = validate_email(
            address.strip(),
            check_deliverability=False,
            allow_smtputf8=False,
            strict=True,
            # Domains such as x.test exist for trying things out, and reach nobody.
            test_environment=True,
        )
    except EmailNotValidError as error:
        raise InvalidEmail(str(error)) from None
    ascii_email = parsed.ascii_email
    if ascii_email is None or len(ascii_email) > MAX_LENGTH:
        raise InvalidEmail(f"The address is longer than {MAX_LENGTH} characters.")
    return ascii_email.lower()


def mailbox_of(address: str) -> str:
    """The mailbox that mail to *address* ends up in: for counting, `ada+shop@x.org` is `ada@x.org`.

    Many mail servers know such sub-addresses (RFC 5233), and an attacker would have no end of them. What some
    servers do beyond that (dots that do not count, catch-all domains) is not covered.
    """
    local, at, domain = normalize_email(address).rpartition("@")
    return (local.partition("+")[0] or local) + at + domain


def normalize_email(address: str) -> str:
    """As `parse_email`; what is not an address comes back trimmed, in lower case, and matches nobody."""
    try:
        return parse_email(address)
    except InvalidEmail:
        return "".join(_lower(each) for each in address.strip())


def _lower(character: str) -> str:
    # ASCII comes from ASCII only: U+212A, the Kelvin sign, would be the k of another account (CWE-178).
    lower = character.lower()
    return character if lower.isascii() and not character.isascii() else lower
