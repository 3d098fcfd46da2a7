"""Import the accounts of an application that used the hawkapi-users library. README.md explains how."""
