"""External content is pinned by digest, not by a movable tag, and code in the image belongs to root. No image
is built here: the build files are checked.
"""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY, Render, run

BY_DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
BY_COMMIT = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@pytest.fixture(scope="module")
def github(render: Render) -> Path:
    return render(ci="github")


@pytest.fixture(scope="module")
def gitlab(render: Render) -> Path:
    return render(ci="gitlab")


def instructions(project: Path) -> list[str]:
    """The instructions of the Dockerfile, one per line."""
    text = (project / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def images(project: Path) -> list[str]:
    """The base images of the Dockerfile, without its own stages."""
    begins = [line.split()[1:] for line in instructions(project) if line.startswith("FROM ")]
    stages = {each[2] for each in begins if len(each) == 3}
    return [each[0] for each in begins if each[0] not in stages]


def test_the_dockerfile_pins_its_image_by_digest(github: Path):
    assert [bool(BY_DIGEST.fullmatch(each)) for each in images(github)] == [True]


def test_compose_pins_every_image_by_digest(github: Path):
    services = yaml.safe_load((github / "compose.yaml").read_text())["services"]

    named = [service["image"] for service in services.values() if "image" in service]
    assert len(named) == 3
    assert [each for each in named if not BY_DIGEST.fullmatch(each)] == []


def test_the_workflow_pins_actions_by_commit_and_images_by_digest(github: Path):
    text = (github / ".github" / "workflows" / "ci.yml").read_text()

    actions = re.findall(r"uses: .*", text)
    named = re.findall(r"image: (.*)", text)
    assert (len(actions), len(named)) == (2, 2)
    assert [each for each in actions if not BY_COMMIT.fullmatch(each)] == []
    assert [each for each in named if not BY_DIGEST.fullmatch(each)] == []


def test_the_workflow_can_only_read_and_leaves_no_token_behind(github: Path):
    """CWE-250: code of a dependency that the tests run must not be able to push."""
    workflow = yaml.safe_load((github / ".github" / "workflows" / "ci.yml").read_text())

    jobs = workflow["jobs"].values()
    checkouts = [step for job in jobs for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
    assert workflow["permissions"] == {"contents": "read"}
    assert ["permissions" in job for job in jobs] == [False]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def test_dependabot_renews_dependencies_and_actions(github: Path):
    document = yaml.safe_load((github / ".github" / "dependabot.yml").read_text())

    updates = {each["package-ecosystem"]: each for each in document["updates"]}
    assert document["version"] == 2
    assert set(updates) == {"uv", "github-actions"}
    assert {each["schedule"]["interval"] for each in updates.values()} == {"weekly"}
    assert {each["directory"] for each in updates.values()} == {"/"}


def test_gitlab_pins_every_image_by_digest(gitlab: Path):
    named = re.findall(r"(?:image|name): (.*)", (gitlab / ".gitlab-ci.yml").read_text())

    assert len(named) == 3
    assert [each for each in named if not BY_DIGEST.fullmatch(each)] == []


def test_one_image_has_one_digest_everywhere(github: Path, gitlab: Path):
    files = [github / "compose.yaml", github / ".github" / "workflows" / "ci.yml", gitlab / ".gitlab-ci.yml"]

    named = {name for file in files for name in BY_DIGEST.findall(file.read_text())}
    assert len({name.partition("@")[0] for name in named}) == len(named)


def test_the_code_in_the_image_belongs_to_root(github: Path):
    """CWE-732: an attacker who takes over the process cannot change the code."""
    final = instructions(github)
    final = final[max(place for place, line in enumerate(final) if line.startswith("FROM ")) :]

    assert [line for line in final if re.match(r"(COPY|ADD)\b.*--chown", line)] == []
    assert [line for line in final if re.search(r"\bchown\b|--owner", line)] == [
        "RUN install --directory --owner=app --group=app --mode=0700 data"
    ]
    assert [line for line in final if line.startswith("USER ")] == ["USER app"]
    assert final.index("COPY --from=build /srv /srv") < final.index("USER app")


def test_the_code_in_the_image_is_read_only(github: Path):
    """A checkout with a strict umask would produce an image that its user cannot read."""
    assert "RUN chmod -R u=rwX,go=rX ." in instructions(github)


def test_the_minimum_copier_version_is_the_same_everywhere():
    floor = yaml.safe_load((REPOSITORY / "copier.yml").read_text())["_min_copier_version"]
    files = ["README.md", "docs/from-hawkapi-users.md", "pyproject.toml", "benchmarks/updating.py"]

    named = [re.findall(r"copier>=([\d.]+),<10", (REPOSITORY / file).read_text()) for file in files]
    assert floor == "9.19"
    assert named == [[floor]] * len(files)


def test_pyjwt_has_lower_and_upper_bounds(github: Path):
    """Advisory 7: before 2.12 it accepted unknown critical headers (CVE-2026-32597)."""
    metadata = tomllib.loads((github / "pyproject.toml").read_text())

    assert "pyjwt>=2.12,<3" in metadata["project"]["dependencies"]


COMPOSE = """
import json, sys
from app.settings import Settings

print(Settings(_env_file=None, **json.loads(sys.argv[1])).environment)
"""


@pytest.mark.parametrize(
    ("changes", "started"),
    [
        ({}, "development"),
        (
            {
                "base_url": "https://app.example.com",
                "environment": "production",
                "mail_sender": "app@example.com",
                "smtp_host": "smtp.example.com",
                "smtp_security": "starttls",
                "plaintext_hosts": "postgres,redis",
            },
            "production",
        ),
    ],
    ids=["as it is", "in production"],
)
def test_compose_starts_as_its_comment_says(
    github: Path, python: Path, changes: dict[str, str], started: str
):
    services = yaml.safe_load((github / "compose.yaml").read_text())["services"]
    secret = re.search(r"^SECRET_KEY=(.*)$", (github / ".env").read_text(), re.MULTILINE)
    filled = {"APP_NAME": "My app", "SECRET_KEY": secret[1]}
    settings = {name.lower(): value for name, value in (services["web"]["environment"] | filled).items()}

    output = run(python, "-c", COMPOSE, json.dumps(settings | changes), cwd=github)

    assert output == f"{started}\n"
    assert "PLAINTEXT_HOSTS: postgres,redis" in (github / "compose.yaml").read_text()
