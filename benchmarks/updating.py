"""How long `app template-update` takes without running tests, in seconds and as a ratio to `copier update`.

Run it from a clean checkout with `uv run python benchmarks/updating.py`. It measures wall-clock seconds,
because the command renders two versions concurrently, and reports the fastest of several alternating runs. An
update must stay below 5 s on two idle cores.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
RUNS = 5
WAYS = {
    "app template-update": ["uv", "run", "app", "template-update", "--skip-tests"],
    "copier update": [
        *("uvx", "--from", "copier>=9.19,<10"),
        *("copier", "update", "--quiet", "--defaults", "--context-lines", "100000"),
    ],
}


def run(*command: str, cwd: Path) -> None:
    # With PYTHONDONTWRITEBYTECODE, every start would recompile every module.
    dropped = {"VIRTUAL_ENV", "UV", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept | dict.fromkeys(names, "benchmarks@example.com"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def two_versions(folder: Path) -> Path:
    """A clone of this repository in which version 1.1.0 changes one file, and a project of version 1.0.0."""
    template, project = folder / "template", folder / "project"
    run("git", "clone", "--quiet", "--no-tags", str(REPOSITORY), str(template), cwd=folder)
    run("git", "tag", "1.0.0", cwd=template)
    run("uv", "run", "copier", "copy", "--quiet", "--defaults", str(template), str(project), cwd=REPOSITORY)
    manager = template / "template" / "app" / "users" / "manager.py"
    manager.write_text(manager.read_text("utf-8") + "# The second version.\n", "utf-8")
    run("git", "commit", "--quiet", "--all", "--message", "Second", cwd=template)
    run("git", "tag", "1.1.0", cwd=template)
    run("git", "init", "--quiet", cwd=project)
    run("uv", "sync", cwd=project)
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", "Generated", cwd=project)
    return project


def fastest(folder: Path) -> dict[str, float]:
    """The fastest time of each command, in seconds. Creates *folder*."""
    folder.mkdir(exist_ok=True)
    project = two_versions(folder)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(RUNS):
        for name, command in WAYS.items():
            began = time.monotonic()
            run(*command, cwd=project)
            times[name].append(time.monotonic() - began)
            run("git", "reset", "--quiet", "--hard", cwd=project)
    return {name: min(each) for name, each in times.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        own, copiers = fastest(Path(folder)).values()
    print(f"app template-update: {own:.1f} s, {own / copiers:.2f} times copier update ({copiers:.1f} s)")


if __name__ == "__main__":
    main()
