"""Record rejected requests in the audit log, so that operators can notice an attack.

The number of events per client network is limited (`rate_limits.py`), so that no client can fill the log.
Each event has its own transaction, because the rejected request's transaction is rolled back.
"""

import logging

from hawkapi import Request
from sqlalchemy.exc import SQLAlchemyError

from app.database import act_for
from app.limits import LimiterUnavailable
from app.users import audit
from app.users.manager import UserManager
from app.web.client_ip import client_of
from app.web.framework.application import services_of_request

logger = logging.getLogger("app.users")


async def note_refusal(request: Request, users: UserManager | None, event: str, method: str = "") -> None:
    """Record *event* for the network that *request* comes from. If recording it fails, only log the failure.

    *method*: how the client tried to authenticate, as in `audit.py`.
    """
    if users is None or users.limits is None:
        return
    client = client_of(request)
    try:
        # The account is not known, so the network takes its place.
        if not await users.limits.may_record(event, ip=client.network, account=client.network):
            return
        async with services_of_request(request).db.session() as db:
            act_for(db, client)
            route = request.scope.get("route")
            details = {"route": route.handler.__name__} if route is not None else {}
            audit.record(db, event, None, outcome="failure", method=method, details=details)
    except (LimiterUnavailable, SQLAlchemyError) as error:
        logger.warning("%s was not recorded (%s)", event, type(error).__name__)
