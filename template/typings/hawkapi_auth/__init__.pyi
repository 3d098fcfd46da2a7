"""Types for the parts of hawkapi-auth 0.2 that this project uses. The package ships none."""

from dataclasses import dataclass
from typing import Any

class TokenError(Exception): ...

@dataclass(frozen=True, slots=True)
class JWTConfig:
    secret: str = ""
    algorithm: str = "HS256"
    access_ttl_seconds: int = ...
    refresh_ttl_seconds: int = ...
    issuer: str | None = None
    audience: str | list[str] | None = None
    private_key: str = ""
    public_key: str = ""
    access_type: str = "access"
    refresh_type: str = "refresh"

@dataclass
class TokenIssuer:
    config: JWTConfig
    def issue_access(self, subject: str, **extra_claims: Any) -> str: ...
    def verify_access(self, token: str) -> dict[str, Any]: ...

def hash_password(password: str) -> str: ...
def verify_password(password: str, stored_hash: str) -> bool: ...
def needs_rehash(stored_hash: str) -> bool: ...
