"""What `app template-update` is made of: the template, its changelog, and the merge into the project.

Template-owned. Nothing of the application is imported here: an update has to work while it does not.
"""
