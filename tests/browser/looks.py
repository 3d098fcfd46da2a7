"""Checks pages with axe, including on a phone and in dark mode, and checks whether their HTML is valid."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
from conftest import REPOSITORY, missing
from filelock import FileLock
from playwright.sync_api import Page

AXE = gzip.decompress((Path(__file__).parent / "axe.min.js.gz").read_bytes()).decode()
FIND = """
options => axe.run(options).then(({violations, incomplete}) => {
  // axe does not report text in the color of its background, but nobody can read it.
  const isUnreadable = node => node.any.some(check => check.data?.messageKey === "equalRatio");
  const unreadable = incomplete.map(each => ({id: each.id, nodes: each.nodes.filter(isUnreadable)}));
  return [...violations, ...unreadable].flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html}`));
})
"""
NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
VIEWS = {
    "light": ("light", 1100, {}),
    # Dark mode changes only colors.
    "dark": ("dark", 1100, {"runOnly": ["color-contrast", "link-in-text-block"]}),
    "phone": ("light", 360, {}),
}
NARROWEST = 320
HTML_VALIDATE = "html-validate@10.9.0"


class Looker:
    """Checks pages in all views, and saves a screenshot of each if *folder* is given."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._problems: list[str] = []

    def look(self, page: Page, name: str) -> None:
        """Check the page that is open."""
        page.evaluate(AXE)
        # Otherwise colors could still be in transition from one scheme to the other.
        page.add_style_tag(content="* { transition: none !important }")
        for view, (scheme, width, options) in VIEWS.items():
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            # Scripts are notified of a new scheme or width before the next frame.
            page.evaluate(NEXT_FRAME)
            self._problems += [f"{name} ({view}): axe {each}"[:300] for each in page.evaluate(FIND, options)]
            if self._folder is not None:
                # A screenshot of the whole documentation would be 20,000 pixels tall.
                page.screenshot(path=self._folder / f"{name}-{view}.png", full_page=name != "docs")
        page.set_viewport_size({"width": NARROWEST, "height": 800})
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > NARROWEST:
            self._problems.append(f"{name} scrolls sideways: {width} px")

    def take_problems(self) -> list[str]:
        """The problems found since the last call."""
        problems, self._problems = self._problems, []
        return problems


def name_of(route: str) -> str:
    return re.sub(r"\W+", "-", route).strip("-") or "home"


def pattern_of(path: str, routes: set[str]) -> str | None:
    """The route of a page. A path without parameters takes precedence."""
    for route in sorted(routes, key=lambda each: each.count("{")):
        if re.fullmatch(re.sub(r"\{\w+(?::\w+)?\}", "[^/]+", route), path):
            return route
    return None


def crawl(client: httpx.Client, routes: set[str]) -> Iterator[tuple[str, str, str]]:
    """The route, path and HTML of one page for each route that is linked to or has no parameters."""
    todo = ["/", "/docs", "/nothing-here", *sorted(each for each in routes if "{" not in each)]
    found: set[str] = set()
    while todo:
        path = todo.pop(0)
        route = pattern_of(path, routes) or path
        if route in found:
            continue
        response = client.get(path)
        if response.is_redirect or "text/html" not in response.headers["content-type"]:
            continue
        found.add(route)
        yield route, path, response.text
        for link in re.findall(r'(?:href|src)="(/[^"#?]*)', response.text):
            if pattern_of(link, routes) not in (None, *found):
                todo.append(link)


def html_validate() -> Path:
    """The folder of html-validate, which is downloaded once."""
    npm = shutil.which("npm") or missing("npm is not installed")
    folder = REPOSITORY / ".cache" / HTML_VALIDATE
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").exists():
            install = [
                npm,
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                HTML_VALIDATE,
            ]
            done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                missing(f"npm could not fetch {HTML_VALIDATE}: {done.stderr.strip()[-300:]}")
            (folder / "ready").touch()
    return folder


def invalid_html(tool: Path, folder: Path, rules: dict[str, str]) -> str:
    """The problems that html-validate reports in the files in *folder*. Empty if all are valid."""
    config = folder.with_suffix(".json")
    config.write_text(
        json.dumps({"root": True, "extends": ["html-validate:standard"], "rules": rules}), "utf-8"
    )
    command = [tool / "node_modules" / ".bin" / "html-validate", "--config", config, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""
