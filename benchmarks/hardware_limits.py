"""This machine's upper limits: the rates of password hashing and driver queries with no other load."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

HASHES = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
import argon2

hasher = argon2.PasswordHasher.from_parameters(argon2.extract_parameters(sys.argv[1]))
end = time.monotonic() + float(sys.argv[2])

def work(_):
    count = 0
    while time.monotonic() < end:
        hasher.verify(sys.argv[1], sys.argv[3])
        count += 1
    return count

threads = os.cpu_count()
began = time.monotonic()
with ThreadPoolExecutor(threads) as pool:
    done = sum(pool.map(work, range(threads)))
print(json.dumps(done / (time.monotonic() - began)))
"""


def hashes_per_second(project: Path, password_hash: str, password: str, seconds: float) -> float:
    """Argon2id verifications per second with the project's parameters, on all processors."""
    command = [project / ".venv" / "bin" / "python", "-c", HASHES, password_hash, str(seconds), password]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"hashing failed:\n{done.stderr}")
    return json.loads(done.stdout)


def queries_per_second(database_url: str, seconds: float) -> float:
    """Reads per second of one account by its primary key, one after another on one asyncpg connection."""
    import asyncpg

    async def measure() -> float:
        connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
        user_id = await connection.fetchval("SELECT id FROM users LIMIT 1")
        read = await connection.prepare("SELECT * FROM users WHERE id = $1")
        count, began = 0, time.monotonic()
        while time.monotonic() < began + seconds:
            await read.fetchrow(user_id)
            count += 1
        took = time.monotonic() - began
        await connection.close()
        return count / took

    return asyncio.run(measure())
