"""The personas: each is a set of edits that a user made to a project, with the update's messages about them.

The edits are realistic: below a seam where there is one, otherwise in the middle of functions and texts. None
was chosen with the next versions in mind, and all keep the project's suite green.
"""

from dataclasses import dataclass

from seams import OWN_REVISION, SEAMS

from .edits import Edit, added, after, at, at_the_end, below, deleted, instead, moved, reformatted
from .fix import FIXED, LOOK_ALIKE
from .own_files import (
    CURRENCY_MIGRATION,
    CUSTOMER_MIGRATION,
    CUSTOMER_MODELS,
    CUSTOMER_PACKAGE,
    CUSTOMER_TESTS,
    DEVICES_ROUTE,
    DEVICES_TESTS,
    GREET,
    NICKNAME_MIGRATION,
    NICKNAME_TESTS,
    ORDER_LINES_MIGRATION,
    ORDERS_MIGRATION,
    ORDERS_MODELS,
    ORDERS_PACKAGE,
    ORDERS_ROUTES,
    ORDERS_TESTS,
    OWN_LOOK_TESTS,
    SERVED_BY,
    SERVED_BY_TESTS,
)


@dataclass(frozen=True)
class Persona:
    """A user who edited their project."""

    name: str
    edits: tuple[Edit, ...]
    sentence: str = ""
    """The messages of the update to the fix, which exits with 1 because the user has something left to do."""
    conflicts: tuple[str, ...] = ()
    """The files in which the user must then resolve conflicts."""
    has_migrations: bool = False
    tests: tuple[str, ...] = ()
    """The project's tests that the edits can affect, in addition to `LIFECYCLE` and those they change. The
    tests of the `COMBINED` run once, in one project with all of their edits.
    """

    def __str__(self) -> str:
        return self.name


SMOKE = ("tests/test_smoke.py",)
LIFECYCLE = (
    *SMOKE,
    "tests/test_migrations.py",
    "tests/test_settings.py",
    "tests/users/test_register.py",
    "tests/users/test_verify.py",
    "tests/users/test_login.py",
    "tests/users/test_delete.py",
)
"""The tests that every project must pass, whatever was edited: an account's lifecycle."""


A_COLUMN = Persona(
    "a column, with its migration and its fields",
    (
        below(
            "app/users/models.py",
            "columns",
            "    nickname: Mapped[str | None] = mapped_column(String(40), default=None)\n",
        ),
        below(
            "app/users/schemas.py",
            "fields",
            "    nickname: Annotated[str, msgspec.Meta(max_length=40)] | None = None\n",
        ),
        below("app/users/schemas.py", "public fields", "    nickname: str | None = None\n"),
        added("migrations/versions/2026_03_02_1015_nickname_of_users.py", NICKNAME_MIGRATION),
        added("tests/users/test_nicknames.py", NICKNAME_TESTS),
    ),
    has_migrations=True,
    tests=("tests/users/test_admin.py", "tests/users/test_export.py"),
)


A_ROUTE = Persona(
    "a route in the users module",
    (
        below(
            "app/users/schemas.py",
            "schemas",
            "\n\nclass Devices(msgspec.Struct):\n"
            '    """How many browsers and apps are logged in."""\n\n'
            "    count: int\n",
        ),
        instead("app/users/routes/sessions.py", "    Credentials,\n", "    Credentials,\n    Devices,\n"),
        below("app/users/routes/sessions.py", "routes", DEVICES_ROUTE),
        added("tests/users/test_devices.py", DEVICES_TESTS),
    ),
    tests=(
        "tests/users/test_security_sessions.py",
        "tests/users/test_security_document.py",
        "tests/web/test_invariants.py",
    ),
)


OTHER_MAILS = Persona(
    "other texts of mails and pages",
    (
        instead(
            "app/users/emails/verify.txt",
            '{{ _("Confirm your e-mail address") }}',
            "Welcome to {{ app_name }}! One more step",
        ),
        instead(
            "app/users/emails/verify.html",
            '<h1>{{ _("Confirm your e-mail address") }}</h1>',
            "<h1>Welcome! One more step</h1>",
        ),
        instead(
            "app/users/emails/verify.html",
            '<p>{{ _("Open this link and press the button there:") }}</p>',
            "<p>Thank you for joining us. Open this link and press the button there:</p>",
        ),
        below(
            "app/users/emails/verify.txt",
            "lines",
            "\n\nInitech Ltd, 1 High Street, Oxford. Company no. 01234567.\n",
        ),
        below(
            "app/users/emails/verify.html",
            "lines",
            "<hr>\n<p>Initech Ltd, 1 High Street, Oxford. Company no. 01234567.</p>\n",
        ),
        instead(
            "app/users/emails/layout.html",
            "h1 { margin: 0 0 16px; font-size: 22px; line-height: 1.3; }\n",
            "h1 { margin: 0 0 16px; font-size: 28px; line-height: 1.2; }\n",
        ),
        instead(
            "app/users/emails/password_reset.html",
            '<p>{{ _("Open this link and choose a new password there:") }}</p>',
            "<p>Somebody, hopefully you, asked for it. Choose a new password behind this link:</p>",
        ),
        instead(
            "app/users/emails.py",
            '        subject=_("Confirm your e-mail address for {app_name}").format('
            "app_name=settings.app_name),\n",
            '        subject=f"Welcome! Please confirm your address for {settings.app_name}",\n',
        ),
        instead(
            "app/users/emails.py",
            '        N_("Your account and its data were deleted."),\n',
            '        "Your account and its data were deleted. We are sorry to see you go.",\n',
        ),
        instead(
            "app/users/pages/password_set.html",
            "You can now log in with it as %(email)s.",
            "You can now log in to our app with it, as %(email)s.",
        ),
    ),
    tests=("tests/users/test_notices.py", "tests/users/test_link_pages.py"),
)


ANOTHER_PASSWORD_RULE = Persona(
    "another password rule",
    (
        below(
            "app/users/passwords/policy.py",
            "rules",
            '    if "initech" in password.casefold():\n'
            '        raise InvalidPassword("The password may not hold the name of our company.")\n',
        ),
        instead(
            "app/users/passwords/policy.py",
            "The password contains characters that cannot be stored.",
            "The password holds half an emoji, which cannot be stored.",
        ),
        after(
            "tests/users/test_passwords.py",
            '("correct horse \\0 battery", "cannot be stored"),',
            '("hello Initech, it is me", "name of our company"),',
        ),
        instead("tests/users/test_passwords.py", '"surrogate", "NUL"],', '"surrogate", "NUL", "company"],'),
    ),
    tests=("tests/users/test_invitations.py",),
)


A_HOOK = Persona(
    "a hook that writes in the same transaction",
    (
        instead(
            "app/users/hooks.py",
            "from app.database import services_of\n",
            "from app.crm import Customer\nfrom app.database import services_of, session_of\n",
        ),
        instead(
            "app/users/hooks.py",
            "    if not user.is_verified:\n",
            "    session_of(user).add(Customer(user_id=user.id))\n    if not user.is_verified:\n",
        ),
        added("app/crm/__init__.py", CUSTOMER_PACKAGE),
        added("app/crm/models.py", CUSTOMER_MODELS),
        added("migrations/versions/2026_03_04_0900_customers.py", CUSTOMER_MIGRATION),
        added("tests/users/test_customers.py", CUSTOMER_TESTS),
    ),
    has_migrations=True,
    tests=(
        "tests/users/test_hooks.py",
        "tests/users/test_account_hooks.py",
        "tests/users/test_raising_hooks.py",
    ),
)


TESTS_DELETED = Persona(
    "tests deleted",
    (
        deleted(
            "tests/users/test_security_enumeration.py",
            "tests/users/test_security_guessing.py",
            "tests/users/test_security_sessions.py",
            "tests/users/test_refresh.py",
            "tests/test_cli.py",
            "tests/web/test_invariants.py",
        ),
        instead(
            "pyproject.toml",
            'pythonpath = ["."]\n',
            'pythonpath = ["."]\nxfail_strict = true\n',
        ),
    ),
)


MOVED = "app/browsers.py"

A_MOVE = Persona(
    "a module moved",
    (moved(FIXED, MOVED),),
    sentence=f"{FIXED}: the template changed this file and you moved it to {MOVED}.",
)


REFORMATTED = Persona(
    "the whole project reformatted to another width",
    (
        reformatted(88),
        below("pyproject.toml", "exceptions", '    "E501", # what the formatter cannot break\n'),
    ),
    # This test reads code as text.
    tests=("tests/users/test_security_document.py",),
)


NO_DOCKER = Persona(
    "Docker removed by hand",
    (
        deleted("Dockerfile", ".dockerignore", "compose.yaml", "compose.production.yaml", "Caddyfile"),
        instead(
            "README.md",
            "The `Dockerfile` builds one image for all three commands. `docker compose up --build` runs"
            " everything for development,\nwith PostgreSQL and Mailpit. `compose.production.yaml` is for"
            " production on one machine, behind Caddy. The comment at\nits top explains how to start it.\n",
            "It runs under systemd; see the wiki.\n",
        ),
    ),
)


MIDDLEWARE = Persona(
    "own middleware in main.py",
    (
        below("app/main.py", "imports", "from app.served_by import ServedBy\n"),
        below("app/main.py", "middleware classes", "    app.add_middleware(ServedBy)\n"),
        added("app/served_by.py", SERVED_BY),
        added("tests/test_served_by.py", SERVED_BY_TESTS),
    ),
    tests=("tests/web/test_invariants.py",),
)


SETTINGS = Persona(
    "settings and dependencies added",
    (
        below(
            "app/settings.py",
            "settings",
            '    support: Annotated[str, Field(description="Who helps people.")] = "help@app.test"\n'
            "    billing_key: Annotated[SecretStr | None, "
            'Field(description="Of the payment provider.")] = None\n',
        ),
        below(
            ".env.example",
            "settings",
            "\n# Who helps people.\n# SUPPORT=help@app.test\n\n# Of the payment provider.\n# BILLING_KEY=\n",
        ),
        below("pyproject.toml", "dependencies", '    "python-slugify>=8,<9",\n    "stripe>=12,<13",\n'),
        below("pyproject.toml", "tools", '    "ipython>=9,<10",\n'),
        below(".gitignore", "patterns", ".idea/\n/local/\n"),
        instead(
            "app/settings.py",
            'SMTP step, in seconds.")\n    ] = 10.0\n',
            'SMTP step, in seconds.")\n    ] = 30.0\n',
        ),
        instead(".env.example", "# SMTP_TIMEOUT=10\n", "# SMTP_TIMEOUT=30\n"),
        below("pyproject.toml", "exceptions", '    "SIM108", # a matter of taste\n'),
    ),
)


OWN_MIGRATIONS = Persona(
    "several own migrations with a foreign key to users",
    (
        added("app/orders/__init__.py", ORDERS_PACKAGE),
        added("app/orders/models.py", ORDERS_MODELS),
        added("app/orders/routes.py", ORDERS_ROUTES),
        added("tests/test_orders.py", ORDERS_TESTS),
        added("migrations/versions/2026_02_01_0900_orders.py", ORDERS_MIGRATION),
        added("migrations/versions/2026_02_09_1130_lines_of_orders.py", ORDER_LINES_MIGRATION),
        added("migrations/versions/2026_03_01_1400_orders_have_a_currency.py", CURRENCY_MIGRATION),
        instead(
            "app/users/export.py",
            "    # One query per table,",
            "    # Orders are in it, too: lawyers asked.\n    # One query per table,",
        ),
    ),
    has_migrations=True,
    tests=("tests/users/test_export.py", "tests/web/test_invariants.py"),
)


A_LOOK_ALIKE = Persona(
    "an edit in a function with a look-alike",
    (
        instead(
            "app/users/emails.py",
            '        "lifetime": in_words(settings.email_change_ttl),\n',
            '        "support": "support@initech.example",\n'
            '        "lifetime": in_words(settings.email_change_ttl),\n',
            within=f"async def {LOOK_ALIKE}(",
        ),
        instead(
            "app/users/emails/email_change.txt",
            'ignore this e-mail: nothing has changed.") }}',
            'ignore this e-mail: nothing has changed.") }} Questions? {{ support }}',
        ),
        instead(
            "app/users/emails/email_change.html",
            'ignore this e-mail: nothing has changed.") }}',
            'ignore this e-mail: nothing has changed.") }} Questions? {{ support }}',
        ),
    ),
    tests=("tests/users/test_email_change.py",),
)


OTHER_LIMITS = Persona(
    "other limits and rules for accounts",
    (
        instead(
            "app/users/rate_limits.py",
            '    "export": Limit(ip="20/h"),\n',
            '    "export": Limit(ip="5/h"),\n',
        ),
        instead("SECURITY.md", "| `export` | 20/h |", "| `export` | 5/h |"),
        instead(
            "app/users/manager.py",
            "        # Check and hash before the lookup,",
            '        if email.endswith("@mailinator.com"):\n'
            '            raise InvalidEmail("Disposable addresses are not accepted.")\n'
            "        # Check and hash before the lookup,",
        ),
        instead("app/users/tasks.py", "DELETING = 60.0\n", "DELETING = 300.0\n"),
        below(
            "tests/users/test_register.py",
            "tests",
            """

async def test_a_disposable_address_is_refused(client):
    body = {"email": "ada@mailinator.com", "password": "correct horse battery"}

    answer = await client.post("/users/register", json=body)

    assert (answer.status_code, answer.json()["detail"]) == (400, "Disposable addresses are not accepted.")
""",
        ),
        below(
            "SECURITY.md",
            "sections",
            "\n## Reports\n\nThey go to security@initech.example; our key is on the home page.\n",
        ),
    ),
    tests=("tests/users/test_security_limits.py", "tests/users/test_manager.py"),
)


OPERATIONS = Persona(
    "own command, services and steps of CI",
    (
        below("app/cli/__init__.py", "imports", "from app.cli.greet import greet\n"),
        below("app/cli/__init__.py", "commands", "cli.command()(greet)\n"),
        added("app/cli/greet.py", GREET),
        instead(
            ".github/workflows/ci.yml",
            "      - run: uv run pyright\n",
            "      - run: uv run pyright\n      - run: uv run app greet CI\n",
        ),
        below(".github/workflows/ci.yml", "variables", "      TZ: Europe/Oxford\n"),
        instead(
            "compose.yaml",
            "      POSTGRES_DB: app\n",
            "      POSTGRES_DB: app\n      POSTGRES_INITDB_ARGS: --data-checksums\n",
        ),
        below("compose.yaml", "services", "  minio:\n    image: minio/minio\n"),
        instead(
            "Dockerfile", "EXPOSE 8000\n", "EXPOSE 8000\nLABEL org.opencontainers.image.vendor=Initech\n"
        ),
        below("AGENTS.md", "rules", "- Speak of customers, never of users.\n"),
        below(".dockerignore", "patterns", "docs\n"),
    ),
    tests=("tests/test_cli.py",),
)


OWN_LOOK = Persona(
    "a stylesheet and layout of their own",
    (
        instead(
            "app/pages/static/app.css",
            "  --content: 28rem;\n",
            '  --content: 34rem;\n  --pico-font-family: "Atkinson Hyperlegible", system-ui, sans-serif;\n',
        ),
        instead(
            "app/pages/static/app.css",
            "h1 { font-size: 1.75rem; }\n",
            "h1 { font-size: 2.25rem; letter-spacing: -.02em; }\n",
        ),
        at_the_end(
            "app/pages/static/app.css",
            ".imprint { color: var(--pico-muted-color); font-size: .875rem; text-align: center; }\n",
        ),
        instead(
            "app/pages/templates/page.html",
            '<meta name="robots" content="noindex">\n',
            '<meta name="robots" content="noindex">\n<meta name="author" content="Initech Ltd">\n',
        ),
        instead(
            "app/pages/templates/page.html",
            "</nav>\n</header>\n",
            '</nav>\n<p class="claim">Paper, ink and more since 1998</p>\n</header>\n',
        ),
        instead(
            "app/pages/templates/page.html",
            "</body>\n",
            '<p class="imprint">Initech Ltd, 1 High Street, Oxford</p>\n</body>\n',
        ),
        added("tests/pages/test_own_look.py", OWN_LOOK_TESTS),
    ),
    tests=("tests/pages/test_flows.py", "tests/pages/test_security_pages.py"),
)


A_CONFLICT = Persona(
    "the very line that the fix changes",
    (instead(FIXED, 're.split(r"[\\s/.:@]"', 're.split(r"[\\s/.:@(]"'),),
    sentence=f"{FIXED}: you and the template changed the same lines.",
    conflicts=(FIXED,),
)

NOT_BY_DEFAULT = (
    ".gitlab-ci.yml",
    ".pre-commit-config.yaml",
    "app/email_login/",
    "tests/email_login",
    "tests/import_hawkapi_users/",
    "tests/mail_webhooks/",
    "tests/observability/",
    "tests/passkey",
    "tests/second_factor",
    "tests/totp",
)
"""The prefixes of paths that a project with the default answers does not have."""

EVERY_SEAM = Persona(
    "a line at every seam",
    (
        *(at(seam) for seam in SEAMS if not seam.path.startswith(NOT_BY_DEFAULT)),
        added("migrations/versions/app_0003_own.py", OWN_REVISION.format(base="app_0002")),
    ),
    has_migrations=True,
)


COMBINED = (
    A_COLUMN,
    A_ROUTE,
    OTHER_MAILS,
    ANOTHER_PASSWORD_RULE,
    MIDDLEWARE,
    SETTINGS,
    A_LOOK_ALIKE,
    OTHER_LIMITS,
    OPERATIONS,
)
"""The people whose edits are also combined in one project. That project runs the tests of all of them."""

MOST_OF_THEM = Persona(
    "most of these edits in one project",
    tuple(edit for persona in COMBINED for edit in persona.edits),
    tests=tuple(test for persona in COMBINED for test in persona.tests),
)
"""The edits of this persona are counted above, so it is not one of the PEOPLE."""

PEOPLE = (
    A_COLUMN,
    A_ROUTE,
    OTHER_MAILS,
    ANOTHER_PASSWORD_RULE,
    A_HOOK,
    TESTS_DELETED,
    A_MOVE,
    REFORMATTED,
    NO_DOCKER,
    MIDDLEWARE,
    SETTINGS,
    OWN_MIGRATIONS,
    A_LOOK_ALIKE,
    OTHER_LIMITS,
    OPERATIONS,
    OWN_LOOK,
    EVERY_SEAM,
    A_CONFLICT,
)
