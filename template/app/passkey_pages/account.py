"""The user's own passkeys: add, rename and remove them."""

from typing import Annotated, Any

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.validation.errors import format_msgspec_error
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.pages.navigation import RecentlySignedIn, redirect
from app.pages.routing import PageRouter
from app.passkeys.passkeys import PasskeyExists, Passkeys, TooManyPasskeys
from app.passkeys.routes import ThePasskeys
from app.passkeys.schemas import PasskeyName
from app.second_factor_pages.account import PAGE, Verified, after_adding
from app.second_factors import Factors, WrongFactor
from app.second_factors.routes import AllFactors, factors_of
from app.users import User
from app.users.dependencies import StillLoggedIn, before_setup, limited_by
from app.users.exceptions import NoSecondFactor
from app.users.schemas import Secret
from app.web import FromForm
from app.web.framework.application import services_of_request
from app.web.framework.field_errors import sentence_for
from app.web.html import html_page

router = PageRouter()

PASSKEYS = f"{PAGE}/passkeys"
PASSKEY = PASSKEYS + "/{passkey_id}"


class NewPasskeyForm(Secret):
    """*credential*: the browser's response, as JSON."""

    credential: str = ""


class NameForm(Secret):
    name: str = ""


async def passkeys_of(request: Request, db: AsyncSession, user: User) -> dict[str, Any]:
    """The values for the passkeys section."""
    passkeys = factors_of(services_of_request(request).users).of_kind(Passkeys)
    return {"passkeys": await passkeys.of(db, user)}


@router.action(PASSKEYS, page=PAGE, dependencies=[limited_by("change_factors")])
@before_setup
async def add_passkey(
    login: Verified,
    request: Request,
    form: Annotated[NewPasskeyForm, FromForm()],
    passkeys: ThePasskeys,
    db: Db,
) -> Response:
    try:
        _, codes = await passkeys.add(db, login.user, login.session, form.credential)
    except WrongFactor:
        return redirect(request, PAGE, message="passkey_not_added")
    except PasskeyExists:
        return redirect(request, PAGE, message="passkey_exists")
    except TooManyPasskeys:
        return redirect(request, PAGE, message="too_many_passkeys")
    return after_adding(request, codes)


@router.get(PASSKEY)
async def passkey_page(
    login: RecentlySignedIn,
    request: Request,
    passkey_id: str,
    passkeys: ThePasskeys,
    factors: AllFactors,
    db: Db,
) -> Response:
    """Rename or remove a passkey."""
    return await _show(request, db, login.user, passkey_id, passkeys, factors)


@router.action(f"{PASSKEY}/name", page=PASSKEY, dependencies=[limited_by("change_factors")])
async def rename_passkey(
    login: RecentlySignedIn,
    request: Request,
    passkey_id: str,
    form: Annotated[NameForm, FromForm()],
    still: StillLoggedIn,
    passkeys: ThePasskeys,
    factors: AllFactors,
    db: Db,
) -> Response:
    try:
        new = msgspec.convert({"name": form.name}, PasskeyName)
        await passkeys.rename(db, login.user, passkey_id, new.name)
    except msgspec.ValidationError as error:
        return await _show(request, db, login.user, passkey_id, passkeys, factors, error)
    except NoSecondFactor:
        return redirect(request, PAGE)
    return redirect(request, PAGE, message="profile_saved")


@router.action(f"{PASSKEY}/remove", page=PASSKEY, dependencies=[limited_by("change_factors")])
async def remove_passkey(
    login: RecentlySignedIn,
    request: Request,
    passkey_id: str,
    passkeys: ThePasskeys,
    factors: AllFactors,
    db: Db,
) -> Response:
    try:
        await factors.remove(db, login.user, passkeys, passkey_id, session=login.session)
    except NoSecondFactor:
        return redirect(request, PAGE)
    return redirect(request, PAGE, message="passkey_removed")


async def _show(
    request: Request,
    db: AsyncSession,
    user: User,
    passkey_id: str,
    passkeys: Passkeys,
    factors: Factors,
    error: msgspec.ValidationError | None = None,
) -> Response:
    """The page for one passkey. *error*: the reason that the new name was rejected."""
    own = await passkeys.of(db, user)
    passkey = next((each for each in own if each.id == passkey_id), None)
    if passkey is None:
        return redirect(request, PAGE)
    is_last = len(own) == 1 and await factors.names_of(db, user) == [passkeys.name]
    errors = {each.field: sentence_for(each.message) for each in format_msgspec_error(error)} if error else {}
    return html_page(
        request,
        "passkeys/passkey.html",
        status=400 if error else 200,
        passkey=passkey,
        is_last=is_last,
        errors=errors,
    )
