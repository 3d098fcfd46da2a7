"""The bill of materials (ASVS 15.1.2): the command in README and SECURITY.md writes a complete one."""

import json
import re
import shlex
import sys
import tomllib

from conftest import Render, run


def test_the_documented_command_lists_the_installed_packages(render: Render):
    project = render()
    [command] = re.findall(r"^uv (export .*)$", (project / "README.md").read_text(), re.MULTILINE)
    metadata = tomllib.loads((project / "pyproject.toml").read_text())

    run(sys.executable, "-m", "uv", *shlex.split(command), cwd=project)

    bill = json.loads((project / "sbom.json").read_text())
    listed = {each["name"]: each for each in bill["components"]}
    direct = {re.split(r"[\[<>=]", each)[0] for each in metadata["project"]["dependencies"]}
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["name"] == metadata["project"]["name"]
    assert direct - listed.keys() == set()
    assert listed["sqlalchemy"]["purl"] == f"pkg:pypi/sqlalchemy@{listed['sqlalchemy']['version']}"
    assert "SHA-256" in json.dumps(listed["sqlalchemy"])
    assert {"pytest", "ruff", "copier"} & listed.keys() == set()
    assert f"`uv {command}`" in (project / "SECURITY.md").read_text()
