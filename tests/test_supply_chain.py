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
OWN_IMAGE = "${COMPOSE_PROJECT_NAME:-app}-app"
BY_COMMIT = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@pytest.fixture(scope="module")
def github(render: Render) -> Path:
    return render(ci="github", update_workflow=True)


@pytest.fixture(scope="module")
def gitlab(render: Render) -> Path:
    return render(ci="gitlab", update_workflow=True)


def instructions(project: Path) -> list[str]:
    """The instructions of the Dockerfile, one per line."""
    text = (project / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def images(project: Path) -> list[str]:
    """The Dockerfile's base images, excluding its own stages."""
    begins = [line.split()[1:] for line in instructions(project) if line.startswith("FROM ")]
    stages = {each[2] for each in begins if len(each) == 3}
    return [each[0] for each in begins if each[0] not in stages]


def test_the_dockerfile_pins_its_image_by_digest(github: Path):
    assert [bool(BY_DIGEST.fullmatch(each)) for each in images(github)] == [True]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.production.yaml"])
def test_compose_pins_every_image_by_digest(github: Path, name: str):
    services = yaml.safe_load((github / name).read_text())["services"]

    named = {service["image"] for service in services.values() if "image" in service} - {OWN_IMAGE}
    assert len(named) == 3
    assert [each for each in named if not BY_DIGEST.fullmatch(each)] == []


@pytest.mark.parametrize(
    ("name", "counts"), [("ci.yml", (4, 2)), ("image.yml", (1, 0)), ("template-update.yml", (5, 1))]
)
def test_a_workflow_pins_actions_by_commit_and_images_by_digest(
    github: Path, name: str, counts: tuple[int, int]
):
    text = (github / ".github" / "workflows" / name).read_text()

    actions = re.findall(r"uses: .*", text)
    named = re.findall(r"image: (.*)", text)
    assert (len(actions), len(named)) == counts
    assert [each for each in actions if not BY_COMMIT.fullmatch(each)] == []
    assert [each for each in named if not BY_DIGEST.fullmatch(each)] == []


@pytest.mark.parametrize("name", ["ci.yml", "image.yml"])
def test_a_workflow_can_only_read_and_leaves_no_token_behind(github: Path, name: str):
    """CWE-250: code from a dependency that the tests run must not be able to push."""
    workflow = yaml.safe_load((github / ".github" / "workflows" / name).read_text())

    jobs = workflow["jobs"].values()
    checkouts = [step for job in jobs for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
    assert workflow["permissions"] == {"contents": "read"}
    assert {"permissions" in job for job in jobs} == {False}
    assert {step["with"]["persist-credentials"] for step in checkouts} == {False}


@pytest.mark.parametrize(("docker", "images"), [(True, {"docker", "docker-compose"}), (False, set())])
def test_dependabot_renews_dependencies_actions_and_images(render: Render, docker: bool, images: set[str]):
    project = render(docker=docker)
    document = yaml.safe_load((project / ".github" / "dependabot.yml").read_text())

    updates = {each["package-ecosystem"]: each for each in document["updates"]}
    assert document["version"] == 2
    assert set(updates) == {"uv", "github-actions"} | images
    assert {each["schedule"]["interval"] for each in updates.values()} == {"weekly"}
    assert {each["directory"] for each in updates.values()} == {"/"}


def test_gitlab_pins_every_image_by_digest(gitlab: Path):
    files = [gitlab / ".gitlab-ci.yml", gitlab / ".gitlab" / "template-update.yml"]
    named = [name for file in files for name in re.findall(r"(?:image|- name): (.*)", file.read_text())]

    assert (len(named), len(set(named))) == (9, 4)
    assert [each for each in named if not BY_DIGEST.fullmatch(each)] == []


def test_one_image_has_one_digest_everywhere(github: Path, gitlab: Path):
    files = [
        *github.glob("compose*.yaml"),
        *github.glob(".github/workflows/*.yml"),
        *github.glob(".devcontainer/*"),
        gitlab / ".gitlab-ci.yml",
        *gitlab.glob(".gitlab/*.yml"),
    ]

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
    assert [line for line in final if line.startswith("USER ")] == ["USER 10001"]
    assert final.index("COPY --from=build /srv /srv") < final.index("USER 10001")


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
    ("name", "service", "own", "started"),
    [
        ("compose.yaml", "web", {}, "development"),
        (
            "compose.production.yaml",
            "web-1",
            {
                "base_url": "https://app.example.com",
                "mail_backend": "smtp",
                "mail_sender": "app@example.com",
                "smtp_host": "smtp.example.com",
                "smtp_security": "starttls",
            },
            "production",
        ),
    ],
    ids=["development", "production"],
)
def test_compose_starts_with_the_settings_that_its_comment_names(
    github: Path, python: Path, name: str, service: str, own: dict[str, str], started: str
):
    text = (github / name).read_text().replace("${POSTGRES_PASSWORD:?set it in .env}", "0a" * 24)
    environment = yaml.safe_load(text)["services"][service]["environment"]
    secret = re.search(r"^SECRET_KEY=(.*)$", (github / ".env").read_text(), re.MULTILINE)
    filled = {"APP_NAME": "My app", "SECRET_KEY": secret[1]}
    settings = {key.lower(): value for key, value in (environment | filled).items()}

    output = run(python, "-c", COMPOSE, json.dumps(settings | own), cwd=github)

    assert output == f"{started}\n"
    assert [key for key in own if key.upper() not in text.partition("x-")[0] and key != "smtp_security"] == []
