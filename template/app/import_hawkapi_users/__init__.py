"""Import the accounts from an application that used the hawkapi-users library. README.md explains how."""
