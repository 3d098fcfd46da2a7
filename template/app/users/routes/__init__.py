"""The users routes, grouped by purpose."""

TAG_DESCRIPTIONS = {
    "sessions": "Log in, log out, and manage the sessions of your account.",
    "users": "Create an account, verify its e-mail address, and reset a forgotten password.",
    "account": "Your account: read, change, export and delete it.",
    "administration": "Other accounts, invitations, the audit log and failed e-mails. For superusers.",
}
"""The groups of /docs, in order."""
