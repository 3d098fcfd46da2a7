"""Updates the vendored files in this repository from the npm registry.

    uv run python scripts/vendor.py                          # restore the recorded versions
    uv run python scripts/vendor.py swagger-ui-dist@5.36.0   # switch one package to another version

`vendored.json` records the version and license of each package, and for each file, its source and the
SHA-256 of its content before compression (`.gz` files are compressed here). Requires npm.
"""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "scripts/vendored.json"


def main(arguments: list[str], root: Path = ROOT, record: Path = RECORD) -> None:
    packages = json.loads(record.read_text())
    wanted = dict(each.rsplit("@", 1) for each in arguments)
    if unknown := wanted.keys() - packages.keys():
        sys.exit(f"{record.name} does not list {', '.join(sorted(unknown))}.")
    for name, package in packages.items():
        is_new = wanted.get(name, package["version"]) != package["version"]
        package["version"] = wanted.get(name, package["version"])
        contents = unpack(f"{name}@{package['version']}")
        package["licence"] = json.loads(contents["package.json"])["license"]
        for file in package["files"]:
            content = b"\n".join(contents[source] for source in file["sources"])
            if file["path"].endswith(".md"):
                # No file in the template has trailing whitespace.
                content = re.sub(rb"[ \t]+$", b"", content, flags=re.MULTILINE)
            digest = hashlib.sha256(content).hexdigest()
            if not is_new and file["sha256"] not in ("", digest):
                version = f"{name}@{package['version']}"
                sys.exit(f"{file['path']}: the registry's {version} is not the recorded one.")
            file["sha256"] = digest
            write(root / file["path"], content)
    record.write_text(json.dumps(packages, indent=2) + "\n")


def unpack(package: str) -> dict[str, bytes]:
    """The files in *package*, keyed by path."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", package]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            return {
                member.name.partition("/")[2]: tar.extractfile(member).read()  # type: ignore[union-attr]
                for member in tar.getmembers()
                if member.isfile()
            }


def write(path: Path, content: bytes) -> None:
    """Write *content* to *path*.

    A file with the same content stays as it is, because another zlib version would compress it differently.
    """
    if path.exists() and read(path) == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


if __name__ == "__main__":
    main(sys.argv[1:])
