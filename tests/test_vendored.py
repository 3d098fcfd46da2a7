"""The vendored files match their record, have their licenses, and can be updated."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = json.loads((ROOT / "scripts/vendored.json").read_text())
FILES = [(package, file) for package in PACKAGES for file in PACKAGES[package]["files"]]
NPM = """#!{python}
import io, json, sys, tarfile
name, _, version = sys.argv[-1].rpartition("@")
files = {{"package.json": json.dumps({{"license": "MIT"}}), "a.js": version, "LICENSE": "MIT  \\n"}}
with tarfile.open("p.tgz", "w:gz") as tar:
    for path, text in files.items():
        member = tarfile.TarInfo("package/" + path)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
"""
"""A fake npm: the content of a package is its version."""


def content_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


@pytest.mark.parametrize(("package", "file"), FILES, ids=[file["path"] for _, file in FILES])
def test_a_file_matches_its_record(package: str, file: dict):
    assert hashlib.sha256(content_of(ROOT / file["path"])).hexdigest() == file["sha256"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_its_licence_and_version(package: str):
    files = PACKAGES[package]["files"]
    texts = {Path(file["path"]).name: content_of(ROOT / file["path"]).decode() for file in files}

    licences = [text for name, text in texts.items() if "LICENSE" in name]

    assert PACKAGES[package]["licence"] in {"MIT", "Apache-2.0", "MPL-2.0"}
    assert any(word in licences[0] for word in ("MIT License", "Apache License", "Mozilla Public License"))
    assert any(PACKAGES[package]["version"] in text for name, text in texts.items() if "LICENSE" not in name)


@pytest.mark.parametrize(
    ("package", "name"), [("swagger-ui-dist", "Swagger UI"), ("@picocss/pico", "Pico CSS")]
)
def test_the_bill_of_materials_names_the_version(package: str, name: str):
    words = " ".join((ROOT / "template/SECURITY.md").read_text().split())

    assert f"{name} {PACKAGES[package]['version']}" in words


def test_the_vendored_files_are_small():
    size = sum((ROOT / file["path"]).stat().st_size for _, file in FILES if "template/" in file["path"])

    assert size < 600_000


def renew(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script on *folder* with the fake npm."""
    (folder / "bin").mkdir(exist_ok=True)
    npm = folder / "bin/npm"
    npm.write_text(NPM.format(python=sys.executable))
    npm.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from vendor import main;"
        " main(sys.argv[2:], Path(sys.argv[1]), Path(sys.argv[1], 'vendored.json'))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, folder, *arguments],
        env=os.environ
        | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def record(tmp_path: Path) -> Path:
    files = [{"path": "a.js.gz", "sources": ["a.js"], "sha256": ""}]
    files.append({"path": "LICENSE.md", "sources": ["LICENSE"], "sha256": ""})
    path = tmp_path / "vendored.json"
    path.write_text(json.dumps({"@of/others": {"version": "1.0.0", "licence": "", "files": files}}))
    assert renew(tmp_path).returncode == 0
    return path


def test_a_new_version_is_written_and_recorded(record: Path, tmp_path: Path):
    assert renew(tmp_path, "@of/others@2.0.0").returncode == 0

    package = json.loads(record.read_text())["@of/others"]
    assert (package["version"], package["licence"]) == ("2.0.0", "MIT")
    assert content_of(tmp_path / "a.js.gz") == b"2.0.0"
    assert package["files"][0]["sha256"] == hashlib.sha256(b"2.0.0").hexdigest()
    assert (tmp_path / "LICENSE.md").read_text() == "MIT\n"


def test_a_package_that_differs_from_its_record_is_refused(record: Path, tmp_path: Path):
    record.write_text(record.read_text().replace(hashlib.sha256(b"1.0.0").hexdigest(), "0" * 64))

    done = renew(tmp_path)

    assert done.returncode != 0
    assert "a.js.gz" in done.stderr
    assert content_of(tmp_path / "a.js.gz") == b"1.0.0"


def test_an_unlisted_package_is_refused(record: Path, tmp_path: Path):
    assert "left-pad" in renew(tmp_path, "left-pad@1.0.0").stderr
