"""What every request passes through before HawkAPI sees it, and every answer on its way out.

The order is fixed. From the outside in, each with the reason for its place:

1. `log_requests`: sees everything, refusals and broken streams included, and gives the request its id.
2. `answer_head`: HEAD is GET from here on, and no answer from further in has to think of it.
3. `well_formed`, 4. `security_headers`: hold for every answer, whoever gives it.
5. `check_host`: under a name that is not served there is nothing, no permission of CORS either.
6. CORS: outside of whatever answers an error, so that a front end may read it.
7. `limit_size`, 8. `limit_time`: before anything is done for the request.
9. `App`'s own: an exception of a middleware becomes an answer, then the middleware, then the route.

Middleware of your own (`app.add_middleware`) is a part of 9.
"""

from hawkapi.middleware.cors import CORSMiddleware

from app.settings import Settings
from app.web.access import log_requests
from app.web.head import answer_head
from app.web.headers import security_headers, strict_transport_security
from app.web.hosts import check_host
from app.web.interface import Application
from app.web.request_limits import limit_size
from app.web.time_limits import limit_time
from app.web.well_formed import well_formed


def around(app: Application, settings: Settings | None) -> Application:
    """*app* with the layers around it; without *settings* with those alone that have none."""
    if settings is not None:
        app = limit_time(app, body=settings.body_timeout, answer=settings.request_timeout)
        app = limit_size(app, headers=settings.max_header_size)
        if settings.cors_origins:
            # An empty list would mean every origin to this class.
            app = CORSMiddleware(
                app,
                allow_origins=settings.cors_origins,
                allow_headers=["authorization", "content-type"],
                expose_headers=["Retry-After", "X-Request-ID"],
            )
        app = check_host(app, settings.allowed_hosts)
    app = security_headers(app, strict_transport_security(settings))
    return log_requests(answer_head(well_formed(app)))
