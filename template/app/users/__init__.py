"""User accounts, from registration to deletion. This code is yours to change.

The names match those in the hawkapi-users library, so replace `from hawkapi_users import …` with
`from app.users import …`. Start with `manager.py`.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from hawkapi import Depends, Request
from hawkapi.routing.router import Router

from app.mail import withhold
from app.settings import Settings, SettingsError
from app.users import hooks, tasks
from app.users.audit import record
from app.users.dependencies import (
    CurrentLogin,
    CurrentSession,
    CurrentUser,
    OptionalUser,
    RecentLogin,
    Superuser,
    Users,
    VerifiedUser,
    current_user,
    get_user_manager,
    resolve_user_manager,
)
from app.users.email_addresses import normalize_email
from app.users.emails import (
    default_renderer,
    mail_email_change,
    mail_invitation,
    mail_nobody,
    mail_notice,
    send_password_reset_email,
    send_verification_email,
)
from app.users.exceptions import (
    HashingBusy,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    LastSuperuser,
    RegistrationClosed,
    TokenError,
    TooManyRequests,
    UserAlreadyExists,
)
from app.users.invitations import UserInvitation
from app.users.manager import HOOKS, UserManager
from app.users.models import User, UserSession
from app.users.passwords.common import load_common_passwords
from app.users.passwords.hashing import PasswordHasher
from app.users.passwords.policy import PasswordPolicy
from app.users.passwords.pwned import BreachCheck
from app.users.rate_limits import Limits
from app.users.routes import TAG_DESCRIPTIONS, account, admin, lifecycle, mails, registration
from app.users.routes import sessions as session_routes
from app.users.routes.error_handlers import install_error_handlers
from app.users.sessions import SessionLimits
from app.users.tokens import RESET_TYPE, VERIFY_TYPE, UserTokenConfig, UserTokens
from app.web import App

# Your own imports go below; template updates never touch them.
# isort: split

__all__ = [
    "RESET_TYPE",
    "VERIFY_TYPE",
    "CurrentLogin",
    "CurrentSession",
    "CurrentUser",
    "HashingBusy",
    "InactiveUser",
    "InvalidCredentials",
    "InvalidEmail",
    "InvalidPassword",
    "LastSuperuser",
    "OptionalUser",
    "PasswordHasher",
    "PasswordPolicy",
    "RecentLogin",
    "RegistrationClosed",
    "Superuser",
    "TokenError",
    "TooManyRequests",
    "User",
    "UserAlreadyExists",
    "UserInvitation",
    "UserManager",
    "UserSession",
    "UserTokenConfig",
    "UserTokens",
    "Users",
    "VerifiedUser",
    "current_user",
    "default_renderer",
    "get_user_manager",
    "init_users",
    "install",
    "normalize_email",
    "record",
    "resolve_user_manager",
    "send_password_reset_email",
    "send_verification_email",
]


REQUIRES = ("limits", "mail")
"""Features that must be installed before this one."""


def install(app: App) -> None:
    """Build the user manager from the settings and connect the hooks in `hooks.py`."""
    settings = app.state.settings
    tokens = UserTokens(
        UserTokenConfig(
            secret=settings.secret_key.get_secret_value(),
            fallbacks=[each.get_secret_value() for each in settings.secret_key_fallbacks],
            verify_ttl_seconds=settings.verify_ttl,
            reset_ttl_seconds=settings.reset_ttl,
            email_change_ttl_seconds=settings.email_change_ttl,
            invitation_ttl_seconds=settings.invitation_ttl,
            access_ttl_seconds=settings.access_ttl,
        )
    )
    manager = UserManager(
        model=User,
        tokens=tokens,
        hasher=PasswordHasher(threads=settings.hash_threads, queue=settings.hash_queue),
        password_min_length=settings.password_min_length,
        policy=PasswordPolicy(
            app_name=settings.app_name,
            load_common=load_common_passwords,
            breaches=_breach_check(settings),
        ),
        send_dummy_mail=mail_nobody,
        withhold=withhold,
        notify=mail_notice,
        send_email_change=mail_email_change,
        send_invitation=mail_invitation,
        registration=settings.registration,
        login_requires_verification=settings.login_requires_verification,
        require_second_factor=settings.require_second_factor,
        limits=Limits(app.state.limiter),
        deletion_grace=timedelta(days=settings.deletion_grace_days),
        session_limits=SessionLimits(
            idle=timedelta(seconds=settings.session_idle),
            absolute=timedelta(seconds=settings.session_absolute),
            not_remembered=timedelta(seconds=settings.session_not_remembered),
            grace=timedelta(seconds=settings.refresh_grace),
            recent=timedelta(seconds=settings.recent_login),
            most=settings.max_sessions,
        ),
    )
    for name in HOOKS:
        setattr(manager, name, getattr(hooks, name, None))
    init_users(app, manager=manager, url_prefix=settings.users_prefix)
    app.on_startup(lambda: _require_feature(manager))
    app.on_shutdown(manager.hasher.close)
    app.on_shutdown(manager.policy.close)
    tasks.install(app, manager)


def _require_feature(manager: UserManager) -> None:
    if manager.require_second_factor != "off" and manager.second_factors is None:
        raise SettingsError(
            "REQUIRE_SECOND_FACTOR: no feature provides a second factor, so nobody could set one up. Add"
            " one with `uv run app add totp`, or set REQUIRE_SECOND_FACTOR to off."
        )


def _breach_check(settings: Settings) -> BreachCheck | None:
    if not settings.password_breach_url:
        return None
    return BreachCheck(settings.password_breach_url, timeout=settings.password_breach_timeout)


def init_users(
    app: App,
    *,
    manager: UserManager,
    mount_routes: bool = True,
    url_prefix: str = "/users",
    rate_limiter: Callable[[Request], Awaitable[None]] | None = None,
) -> UserManager:
    """Attach *manager* to *app* as `app.state.users` and mount the routes under *url_prefix*.

    *rate_limiter*: an optional guard that runs before every users route, in addition to the manager's limits.
    To reject a request, the guard raises `Problem(429, ...)`.
    """
    app.state.users = manager
    app.state.html.add_folder(Path(__file__).parent / "pages")
    if mount_routes:
        install_error_handlers(app)
        guards = [Depends(rate_limiter)] if rate_limiter is not None else []
        mounted = Router(prefix=url_prefix.rstrip("/") or "/users", dependencies=guards)
        for router in (
            registration.routers[manager.registration],
            lifecycle.router,
            session_routes.router,
            account.router,
            admin.router,
            mails.router,
            # Your own routers go below; template updates never touch them.
        ):
            mounted.include_router(router)
        app.include_router(mounted)
        app.tag_descriptions.update(TAG_DESCRIPTIONS)
    return manager
