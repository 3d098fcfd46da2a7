"""Every form has the same limit as the equivalent JSON route, or a reason for having none.

Checklist 10. `tests/pages/test_security_pages.py` tests that the limits are enforced.
"""

from tests.pages.test_security_pages import ROWS, pages_of

UNLIMITED = {
    "/logout": "ends a session and reveals nothing",
    "/account/sessions": "needs a recent password",
    "/account/delete": "needs a recent password",
}
"""Forms without a limit, each with the reason."""
ELSEWHERE = ("/admin", "/dev")
"""Pages for superusers and development-only pages."""


def test_every_form_has_a_limit_or_a_reason(app):
    forms = {path: page for path, page in pages_of(app, "POST").items() if not path.startswith(ELSEWHERE)}

    rows = {
        path: {row for each in page.dependencies() if (row := getattr(each, "limit", None))}
        for path, page in forms.items()
    }

    assert {path: found for path, found in rows.items() if found} == {path: {ROWS[path]} for path in ROWS}
    assert {path for path, found in rows.items() if not found} == set(UNLIMITED)
