"""The users routes, grouped by purpose."""

TAG_DESCRIPTIONS = {
    "sessions": "Log in, log out, and manage the sessions of your account.",
    "users": "Create an account, verify its e-mail address, and reset a forgotten password.",
    "account": "Read, change, export and delete your account.",
    "administration": "Other accounts, invitations, the audit log and failed e-mails. For superusers.",
}
"""The groups in /docs, in order."""
