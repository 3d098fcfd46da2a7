"""Tells password managers where users add and manage passkeys (W3C, passkey endpoints)."""

import msgspec
from hawkapi import Request
from hawkapi.routing.router import Router

from app.second_factor_pages.account import PAGE
from app.web.framework.application import services_of_request

router = Router()


class PasskeyEndpoints(msgspec.Struct):
    enroll: str
    manage: str


@router.get("/.well-known/passkey-endpoints", include_in_schema=False)
async def passkey_endpoints(request: Request) -> PasskeyEndpoints:
    page = services_of_request(request).settings.base_url + PAGE
    return PasskeyEndpoints(enroll=page, manage=page)
