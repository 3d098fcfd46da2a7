"""Small HTML pages without scripts or outside resources, and the headers that keep them so."""

import base64
import hashlib
import html

from hawkapi.responses.response import Response

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1f2328;margin:0}
main{max-width:26rem;margin:10vh auto;padding:0 1rem}
main.wide{max-width:60rem;margin:2rem auto}
h1{font-size:1.4rem}
label{display:block;margin:1rem 0 .3rem}
input,button{font:inherit;padding:.5rem 1rem;border-radius:6px}
input{width:100%;box-sizing:border-box;border:1px solid #8c959f}
button{margin-top:1rem;border:0;background:#0969da;color:#fff}
[role=alert]{color:#b3261e}
"""


def page_response(
    title: str, body: str, *, status: int = 200, style: str = "", wide: bool = False
) -> Response:
    """A complete page. *body* is HTML: escape what comes from outside with `html.escape`.

    The page may carry a token in its address, so it is not stored (`no-store`), and nothing but its own style
    and a form to this site is allowed (ASVS 3.4.3, 14.3.2). `app/web/headers.py` adds what every answer has.
    """
    css = _STYLE + style
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    kind = ' class="wide"' if wide else ""
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{html.escape(title)}</title>
<style>{css}</style>
</head>
<body>
<main{kind}>
<h1>{html.escape(title)}</h1>
{body}
</main>
</body>
</html>
"""
    return Response(
        document,
        status_code=status,
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self';"
                " base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
            ),
        },
        content_type="text/html; charset=utf-8",
    )
