"""The request and response bodies of the users routes. Only the fields listed here reach a client."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from app import i18n
from app.mail import OutboxMessage, outbox
from app.users.audit import AuditEvent
from app.users.invitations import UserInvitation
from app.users.models import TEMPLATE_COLUMNS, User, UserSession
from app.users.passwords.policy import MAX_LENGTH
from app.users.user_agents import browser_of

# Your own imports go below; template updates never touch them.
# isort: split

# Generous bounds that reject absurd input early. The rules are in email_addresses.py and passwords/.
EmailText = Annotated[str, msgspec.Meta(max_length=320, description="An e-mail address.")]
PasswordText = Annotated[
    str,
    msgspec.Meta(
        max_length=1024,
        description="PASSWORD_MIN_LENGTH (12 by default) to 128 characters. A new password must not be easy"
        " to guess.",
    ),
]
# Shown in the OpenAPI schema only. Validation and its messages are in email_addresses.py and passwords/.
NewEmailText = Annotated[EmailText, msgspec.Meta(extra_json_schema={"format": "email"})]
LanguageText = Annotated[str, msgspec.Meta(extra_json_schema={"enum": i18n.languages()})]
NewPasswordText = Annotated[
    str,
    msgspec.Meta(
        description=f"PASSWORD_MIN_LENGTH (12 by default) to {MAX_LENGTH} characters.",
        extra_json_schema={"minLength": 8, "maxLength": MAX_LENGTH},
    ),
]


class Secret(msgspec.Struct):
    """Hides its values in the repr: passwords and tokens must not reach logs or tracebacks (ASVS 16.2.5)."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class PublicUser(msgspec.Struct):
    """The account fields that are visible to every client with access to the account. Each field contains
    the value of the column with the same name."""

    id: str
    email: str
    is_active: bool
    is_verified: bool
    is_superuser: bool
    # Your own public fields go below; template updates never touch them.


class NewAccount(Secret, kw_only=True):
    """The fields that a person fills in to create an account, by registering or by accepting an invitation.

    A field is stored in the column of the same name. Give each of your own fields a default, because the
    invitation page does not ask for them. Never add flags such as is_superuser here: if a client sends them,
    they must be ignored.
    """

    # Your own fields go below; template updates never touch them.


class Registration(NewAccount):
    email: NewEmailText
    password: NewPasswordText


class Credentials(Secret):
    email: EmailText
    password: PasswordText
    # Your own login fields go below; template updates never touch them.


class CookieLogin(Credentials):
    remember: Annotated[
        bool,
        msgspec.Meta(description="If false, the session lasts at most SESSION_NOT_REMEMBERED seconds."),
    ] = True
    # Your own cookie login fields go below; template updates never touch them.


class TokenPair(Secret):
    """The tokens that authenticate later requests (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: Annotated[str, msgspec.Meta(description="For POST /users/token/refresh. Works only once.")]
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token expires.")]
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme (RFC 6750), not a secret
    # Your own token fields go below; template updates never touch them.


class LoggedIn(Secret, PublicUser, kw_only=True):
    """The public user and the tokens that authenticate later requests."""

    access_token: str
    refresh_token: str
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token expires.")]
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme (RFC 6750), not a secret
    # Your own fields of a login response go below; template updates never touch them.


class PasswordChanged(Secret, PublicUser, kw_only=True):
    """The public user, with new tokens if the client does not use a cookie."""

    access_token: str | msgspec.UnsetType = msgspec.UNSET
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    expires_in: int | msgspec.UnsetType = msgspec.UNSET
    token_type: str | msgspec.UnsetType = msgspec.UNSET


TokenText = Annotated[str, msgspec.Meta(max_length=2048)]


class Refresh(Secret):
    refresh_token: TokenText


class Logout(Secret):
    """Needed only if the access token has expired."""

    refresh_token: TokenText | None = None


class PasswordConfirmation(Secret):
    password: PasswordText


class PasswordChange(Secret):
    current_password: PasswordText
    new_password: NewPasswordText


LinkToken = Annotated[
    TokenText | None,
    msgspec.Meta(description="The token from the e-mailed link. Required unless it is in the path."),
]
"""A token in the body stays out of logs and the browser history."""


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
    """The account to create from an invitation."""

    password: NewPasswordText
    token: LinkToken = None


class ProfileUpdate(msgspec.Struct):
    """The fields that owners can change. Omitted fields keep their values.

    A field is stored in the column of the same name. Its type must include `msgspec.UnsetType` and its
    default must be `msgspec.UNSET`. Never add the password, the e-mail address or flags such as is_superuser.
    """

    language: Annotated[
        LanguageText | msgspec.UnsetType | None,
        msgspec.Meta(
            description="The language of errors, pages and e-mails, such as `de`. If null, the language of"
            " each request is used.",
        ),
    ] = msgspec.UNSET
    # Your own profile fields go below; template updates never touch them.


class EmailChange(msgspec.Struct):
    new_email: NewEmailText


class PublicSession(msgspec.Struct):
    """A session, as shown to its owner and to superusers."""

    id: str
    kind: Literal["bearer", "cookie"]
    created_at: datetime
    authenticated_at: datetime
    last_seen_at: Annotated[datetime, msgspec.Meta(description="Accurate to the minute.")]
    expires_at: datetime
    ip_address: str
    user_agent: str
    browser: str
    is_current: Annotated[bool, msgspec.Meta(description="Whether the request was made in this session.")]
    # Your own session fields go below; template updates never touch them.


class ManagedUser(PublicUser, kw_only=True):
    """The fields that superusers can see. Each one contains the value of the column with the same name."""

    created_at: datetime
    updated_at: datetime
    delete_after: Annotated[
        datetime | None,
        msgspec.Meta(
            description="When the account will be permanently deleted. Null unless deletion was requested."
        ),
    ]
    must_reset_password: Annotated[
        bool,
        msgspec.Meta(
            description="If true, the password is rejected until the owner sets a new one with an e-mailed"
            " link."
        ),
    ]
    # Your own fields for superusers go below; template updates never touch them.


class UserPage(msgspec.Struct):
    items: list[ManagedUser]
    next: Annotated[
        str | None, msgspec.Meta(description="The `cursor` value for the next page. Null on the last page.")
    ]


class UserQuery(msgspec.Struct):
    """The query parameters of the account list."""

    search: Annotated[str, msgspec.Meta(max_length=320, description="Part of the e-mail address.")] = ""
    is_active: bool | None = None
    is_verified: bool | None = None
    is_superuser: bool | None = None
    must_reset_password: bool | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    cursor: Annotated[
        str, msgspec.Meta(max_length=200, description="The `next` value from the previous page.")
    ] = ""


class UserUpdate(msgspec.Struct):
    """The fields that superusers can change. Omitted fields keep their values.

    Only the owner can change the password and the e-mail address, so they are not included. Each of your own
    fields is stored in the column of the same name. Its type must include `msgspec.UnsetType` and its default
    must be `msgspec.UNSET`.
    """

    is_active: bool | None = None
    is_verified: bool | None = None
    is_superuser: bool | None = None
    must_reset_password: Annotated[
        bool | None,
        msgspec.Meta(
            description="If true, a link to set a new password is e-mailed, and the current password stops"
            " working."
        ),
    ] = None
    # Your own fields that superusers change go below; template updates never touch them.


class PublicInvitation(msgspec.Struct):
    """An invitation that has not been used yet."""

    id: str
    email: str
    invited_by: Annotated[str, msgspec.Meta(description="A user id, or `cli`.")]
    created_at: datetime
    expires_at: datetime


class PublicEvent(msgspec.Struct):
    """An audit log entry."""

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
    next: Annotated[
        int | None, msgspec.Meta(description="The value of `before` for the next page, if there is one.")
    ]


class EventQuery(msgspec.Struct):
    """The query parameters of the audit log."""

    user_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


MailId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class DeadMail(msgspec.Struct):
    """An e-mail that could not be sent and was set aside, as shown to superusers. Never add its content."""

    id: int
    subject: str
    user_id: Annotated[
        str | None, msgspec.Meta(description="Null if the e-mail does not belong to an account.")
    ]
    attempts: int
    last_error: str
    created_at: datetime
    set_aside_at: datetime
    can_be_sent: Annotated[bool, msgspec.Meta(description="False if the e-mail's link has expired.")]


class DeadMailPage(msgspec.Struct):
    items: list[DeadMail]
    next: Annotated[
        int | None, msgspec.Meta(description="The value of `before` for the next page, if there is one.")
    ]


class DeadMailQuery(msgspec.Struct):
    """The query parameters of the list of e-mails that were set aside."""

    before: MailId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Export(msgspec.Struct):
    """All data stored about a user."""

    account: dict[str, Any]
    related_records: Annotated[
        dict[str, list[dict[str, Any]]],
        msgspec.Meta(description="The rows that refer to the account, grouped by table."),
    ]
    events: list[PublicEvent]


class EmailRequest(msgspec.Struct):
    email: EmailText


class Accepted(msgspec.Struct):
    """The same response whether or not the account exists."""

    status: str = "ok"


def given(body: msgspec.Struct) -> dict[str, Any]:
    """The fields in *body* that the client sent."""
    fields = msgspec.structs.asdict(body)
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def given_own(body: UserUpdate) -> dict[str, Any]:
    """Your own fields in *body* that the client sent."""
    return {name: value for name, value in given(body).items() if name not in TEMPLATE_COLUMNS}


def public(user: User) -> PublicUser:
    """The public view of *user*."""
    return msgspec.convert(user, PublicUser, from_attributes=True)


def managed(user: User) -> ManagedUser:
    """*user* as shown to superusers."""
    return msgspec.convert(user, ManagedUser, from_attributes=True)


def public_session(session: UserSession, current: UserSession) -> PublicSession:
    """*session* as shown to the user who is logged in with *current*."""
    beside = {"browser": browser_of(session.user_agent), "is_current": session.id == current.id}
    return msgspec.convert(vars(session) | beside, PublicSession)


def public_invitation(row: UserInvitation) -> PublicInvitation:
    """*row* as shown to superusers."""
    return msgspec.convert(row, PublicInvitation, from_attributes=True)


def dead_mail(row: OutboxMessage) -> DeadMail:
    """*row* as shown to superusers."""
    # SQLite returns these columns without a time zone.
    created_at, set_aside_at = (
        moment.replace(tzinfo=moment.tzinfo or UTC) for moment in (row.created_at, row.next_attempt_at)
    )
    return DeadMail(
        id=row.id,
        subject=row.subject,
        user_id=row.user_id,
        attempts=row.attempts,
        last_error=row.last_error,
        created_at=created_at,
        set_aside_at=set_aside_at,
        can_be_sent=outbox.can_be_sent(row),
    )


def public_event(row: AuditEvent) -> PublicEvent:
    """*row* as shown to superusers."""
    return msgspec.convert(vars(row) | {"details": msgspec.json.decode(row.details)}, PublicEvent)


def exported_event(row: AuditEvent) -> PublicEvent:
    """*row* as shown to the account's owner. If someone else caused the event, that person's IP address and
    browser are hidden."""
    event = public_event(row)
    if row.actor not in ("", row.user_id):
        event.ip_address = event.user_agent = event.browser = ""
    return event


# Your own schemas go below; template updates never touch them.
