"""Import the accounts of an application that used the library hawkapi-users. README.md explains how."""
