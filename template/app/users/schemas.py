"""What the users routes take and give. Add fields at the seams; what is not listed here never leaves."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from app.users.audit import AuditEvent
from app.users.invitations import UserInvitation
from app.users.models import User, UserSession
from app.users.passwords.hashing import MAX_LENGTH
from app.users.user_agents import browser_of

# Your own imports go below; template updates never touch them.
# isort: split

# Generous bounds that keep absurd input from any work; the rules are in addresses.py and passwords.py.
EmailText = Annotated[str, msgspec.Meta(max_length=320, description="An e-mail address.")]
PasswordText = Annotated[
    str,
    msgspec.Meta(
        max_length=1024,
        description="12 (PASSWORD_MIN_LENGTH) to 128 characters; a new one must not be easy to guess.",
    ),
]
# Where the rules hold the document names them; the sentence for what is wrong is still theirs.
NewEmailText = Annotated[EmailText, msgspec.Meta(extra_json_schema={"format": "email"})]
NewPasswordText = Annotated[
    str,
    msgspec.Meta(
        description=f"12 (PASSWORD_MIN_LENGTH) to {MAX_LENGTH} characters.",
        extra_json_schema={"minLength": 8, "maxLength": MAX_LENGTH},
    ),
]


class Secret(msgspec.Struct):
    """Its repr shows no values: passwords and tokens have no place in logs and tracebacks (ASVS 16.2.5)."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class PublicUser(msgspec.Struct):
    """What anybody who may see an account sees of it. Each field shows the column of the same name."""

    id: str
    email: str
    is_active: bool
    is_verified: bool
    is_superuser: bool
    # Your own public fields go below; template updates never touch them.


class NewAccount(Secret, kw_only=True):
    """What people tell of themselves when they make an account, by registering or by an invitation.

    A field becomes the column of the same name. It needs a default: the page of an invitation does not ask
    for it. UserUpdate such as is_superuser have no place here; sent all the same, they are ignored.
    """

    # Your own fields go below; template updates never touch them.


class Registration(NewAccount):
    email: NewEmailText
    password: NewPasswordText


class Credentials(Secret):
    email: EmailText
    password: PasswordText


class CookieLogin(Credentials):
    remember: Annotated[bool, msgspec.Meta(description="False: the login lasts a day at the most.")] = True


class TokenPair(Secret):
    """What authenticates the next requests (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: Annotated[str, msgspec.Meta(description="For POST /users/token/refresh; works once.")]
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token expires.")]
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme (RFC 6750), not a secret


class LoggedIn(Secret, PublicUser, kw_only=True):
    """The public user and, beside it, what authenticates the next requests."""

    access_token: str
    refresh_token: str
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token expires.")]
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme (RFC 6750), not a secret


class PasswordChanged(Secret, PublicUser, kw_only=True):
    """The public user and, for a client that has tokens and no cookie, the new ones."""

    access_token: str | msgspec.UnsetType = msgspec.UNSET
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    expires_in: int | msgspec.UnsetType = msgspec.UNSET
    token_type: str | msgspec.UnsetType = msgspec.UNSET


TokenText = Annotated[str, msgspec.Meta(max_length=2048)]


class Refresh(Secret):
    refresh_token: TokenText


class Logout(Secret):
    """For a client whose access token has expired."""

    refresh_token: TokenText | None = None


class PasswordConfirmation(Secret):
    password: PasswordText


class PasswordChange(Secret):
    current_password: PasswordText
    new_password: NewPasswordText


LinkToken = Annotated[
    TokenText | None,
    msgspec.Meta(description="The token of the mailed link, where the path does not have it."),
]
"""In the body a token stands in no log and no history."""


class VerifyEmail(Secret):
    token: LinkToken = None
    password: PasswordText | None = None


class ChangeEmail(Secret):
    token: LinkToken = None
    password: PasswordText | None = None


class PasswordReset(Secret):
    password: NewPasswordText
    token: LinkToken = None


class AcceptInvitation(NewAccount):
    """The account that an invitation is for."""

    password: NewPasswordText
    token: LinkToken = None


class EmailChange(msgspec.Struct):
    new_email: NewEmailText


class PublicSession(msgspec.Struct):
    """A login, as its owner and superusers see it."""

    id: str
    kind: Literal["bearer", "cookie"]
    created_at: datetime
    authenticated_at: datetime
    last_seen_at: Annotated[datetime, msgspec.Meta(description="Exact to the minute.")]
    expires_at: datetime
    ip_address: str
    user_agent: str
    browser: str
    is_current: Annotated[bool, msgspec.Meta(description="It is the one that asks.")]


class ManagedUser(PublicUser, kw_only=True):
    """What superusers see of an account, in the same manner."""

    created_at: datetime
    updated_at: datetime
    delete_after: Annotated[
        datetime | None, msgspec.Meta(description="When it goes for good, if its owner has deleted it.")
    ]
    must_reset_password: Annotated[
        bool, msgspec.Meta(description="The password is refused until a mailed link has set a new one.")
    ]
    # Your own fields for superusers go below; template updates never touch them.


class UserPage(msgspec.Struct):
    items: list[ManagedUser]
    next: Annotated[str | None, msgspec.Meta(description="`cursor` of the next page, if there is one.")]


class UserQuery(msgspec.Struct):
    """The query of the list of accounts."""

    search: Annotated[str, msgspec.Meta(max_length=320, description="A part of the address.")] = ""
    is_active: bool | None = None
    is_verified: bool | None = None
    is_superuser: bool | None = None
    must_reset_password: bool | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=200, description="`next` of the page before.")] = ""


class UserUpdate(msgspec.Struct):
    """What superusers change; what is left out stays. No password and no address: those are the owner's."""

    is_active: bool | None = None
    is_verified: bool | None = None
    is_superuser: bool | None = None
    must_reset_password: Annotated[
        bool | None,
        msgspec.Meta(description="True mails a link that sets a new password; the present one is of no use."),
    ] = None


class PublicInvitation(msgspec.Struct):
    """Somebody who may make an account."""

    id: str
    email: str
    invited_by: Annotated[str, msgspec.Meta(description="A user's id, or `cli`.")]
    created_at: datetime
    expires_at: datetime


class PublicEvent(msgspec.Struct):
    """An entry of the audit log."""

    id: int
    at: datetime
    event: str
    outcome: str
    user_id: str | None
    actor: str
    method: str
    ip_address: str
    user_agent: str
    browser: str
    details: dict[str, Any]


class EventPage(msgspec.Struct):
    items: list[PublicEvent]
    next: Annotated[int | None, msgspec.Meta(description="`before` of the next page, if there is one.")]


class EventQuery(msgspec.Struct):
    """The query of the audit log."""

    user_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Export(msgspec.Struct):
    """Everything that is stored about a user."""

    account: dict[str, Any]
    related_records: Annotated[
        dict[str, list[dict[str, Any]]],
        msgspec.Meta(description="The rows of every table that refers to the account, by table."),
    ]
    events: list[PublicEvent]


class EmailRequest(msgspec.Struct):
    email: EmailText


class Accepted(msgspec.Struct):
    """The same answer whether or not there is such an account."""

    status: str = "ok"


def public(user: User) -> PublicUser:
    """The public view of *user*."""
    return msgspec.convert(user, PublicUser, from_attributes=True)


def managed(user: User) -> ManagedUser:
    """The view that superusers have of *user*."""
    return msgspec.convert(user, ManagedUser, from_attributes=True)


def public_session(session: UserSession, current: UserSession) -> PublicSession:
    """The view of *session* that whoever is logged in with *current* has."""
    beside = {"browser": browser_of(session.user_agent), "is_current": session.id == current.id}
    return msgspec.convert(vars(session) | beside, PublicSession)


def public_invitation(row: UserInvitation) -> PublicInvitation:
    """The view of *row* that superusers have."""
    return msgspec.convert(row, PublicInvitation, from_attributes=True)


def public_event(row: AuditEvent) -> PublicEvent:
    """The view of *row* that superusers have."""
    return msgspec.convert(vars(row) | {"details": msgspec.json.decode(row.details)}, PublicEvent)


def exported_event(row: AuditEvent) -> PublicEvent:
    """The view of *row* that its user has: without the address and the browser of another who acted."""
    event = public_event(row)
    if row.actor not in ("", row.user_id):
        event.ip_address = event.user_agent = event.browser = ""
    return event


# Your own schemas go below; template updates never touch them.
