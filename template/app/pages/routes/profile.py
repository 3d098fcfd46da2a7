"""The profile page, where users edit the fields that you have added. Until you add a field, the page does not
exist.

Add a field to `ProfileUpdate` (`app/users/schemas.py`), `ProfileForm` (`app/pages/forms.py`) and
`templates/profile.html`.
"""

from typing import Annotated

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.forms import InvalidField, ProfileForm, profile_of, profile_update, taken_values_as_errors
from app.pages.navigation import SignedIn, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.dependencies import StillLoggedIn, limited_by
from app.users.schemas import given
from app.web import FromForm, Problem
from app.web.html import html_page
from app.web.problems import NOTHING_HERE

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/account/profile")
async def profile_page(login: SignedIn, request: Request) -> Response:
    if not ProfileForm.__struct_fields__:
        raise Problem(404, NOTHING_HERE)
    return html_page(request, "profile.html", errors={}, values=profile_of(login.user))


@router.post("/account/profile", dependencies=[limited_by("update_profile")])
async def update_profile(
    login: SignedIn,
    request: Request,
    form: Annotated[ProfileForm, FromForm()],
    still: StillLoggedIn,
    users: Users,
    db: Db,
) -> Response:
    """Store the fields. An empty field clears the value."""
    try:
        changes = given(profile_update(form))
        with taken_values_as_errors():
            await users.update_profile(db, login.user, **changes)
    except InvalidField as error:
        values = msgspec.structs.asdict(form)
        return html_page(request, "profile.html", status=400, errors={error.field: str(error)}, values=values)
    return redirect(request, "/account", message="profile_saved")
