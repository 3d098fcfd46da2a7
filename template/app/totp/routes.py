"""Set up and remove an authenticator app. The rules are in `totp.py` and `app/second_factors`."""

import io
from typing import Annotated

import msgspec
import segno
from hawkapi import Depends
from hawkapi.routing.router import Router

from app.database import Db
from app.second_factors.factors import LastFactor
from app.second_factors.routes import NOT_SET_UP, TAG, WRONG, AllFactors
from app.second_factors.schemas import Text
from app.totp.totp import AlreadySetUp, Totp
from app.users import CurrentLogin, RecentLogin, VerifiedUser
from app.users.dependencies import before_setup, limited_by
from app.users.schemas import Secret
from app.web import responds

router = Router(prefix="/me/totp", tags=[TAG])

LAST = {409: {LastFactor.code: "The account must have a second factor, and this is its last one."}}
ALREADY = {409: {AlreadySetUp.code: "The account already has an authenticator app. Remove it first."}}


class TotpSetup(Secret):
    """The data that an authenticator app needs. It is shown only once."""

    secret: Annotated[str, msgspec.Meta(description="The secret, for manual entry.")]
    uri: str
    qr_svg: Annotated[str, msgspec.Meta(description="The URI as a QR code in SVG format.")]


class TotpCode(Secret):
    code: Text


class TotpConfirmed(Secret):
    """Recovery codes are included if the account had none. They are never shown again."""

    recovery_codes: list[str] | msgspec.UnsetType = msgspec.UNSET


def _totp(factors: AllFactors) -> Totp:
    return factors.of_kind(Totp)


TheTotp = Annotated[Totp, Depends(_totp)]


@router.post("", status_code=201, dependencies=[limited_by("change_factors")])
@responds(ALREADY)
@before_setup
async def begin_totp(recent: RecentLogin, user: VerifiedUser, totp: TheTotp, db: Db) -> TotpSetup:
    """Start setting up an authenticator app

    Until you confirm the app with a code, logins do not ask for one.
    """
    secret = await totp.begin(db, user, recent)
    uri = totp.uri(secret, user)
    return TotpSetup(secret, uri, qr_code(uri))


@router.post("/confirm", status_code=200, dependencies=[limited_by("change_factors")])
@responds(WRONG)
@before_setup
async def confirm_totp(
    recent: RecentLogin, user: VerifiedUser, body: TotpCode, totp: TheTotp, db: Db
) -> TotpConfirmed:
    """Confirm the authenticator app with a code

    From then on, logins ask for a code. All other sessions end.
    """
    codes = await totp.confirm(db, user, recent, body.code)
    return TotpConfirmed(msgspec.UNSET if codes is None else codes)


@router.delete("", status_code=204, dependencies=[limited_by("change_factors")])
@responds(NOT_SET_UP, LAST)
async def remove_totp(
    recent: RecentLogin, login: CurrentLogin, totp: TheTotp, factors: AllFactors, db: Db
) -> None:
    """Remove the authenticator app

    Removing the last factor also removes the recovery codes. All other sessions end.
    """
    await factors.remove(db, login.user, totp, session=recent)


def qr_code(uri: str) -> str:
    """A QR code for *uri*, as an SVG image without a fixed size. The page sets the size."""
    written = io.BytesIO()
    segno.make(uri, micro=False).save(written, kind="svg", xmldecl=False, omitsize=True, svgns=True)
    return written.getvalue().decode()
