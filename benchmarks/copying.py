"""How long `copier copy` takes, in CPU seconds and as a multiple of a plain copy of the template's files.

Run it from a clean checkout with `uv run python benchmarks/copying.py`. The time was 0.93 s for 252 files on
an idle machine. It must not grow faster than the number of files.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from copier import run_copy

REPOSITORY = Path(__file__).resolve().parent.parent
RUNS = 5


def fastest(work: Callable[[Path], object]) -> float:
    """The CPU time in seconds of the fastest of `RUNS` runs, each into its own folder."""
    times: list[float] = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            work(Path(folder) / "copy")
            times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    plain = fastest(lambda target: shutil.copytree(REPOSITORY / "template", target))
    options = {"defaults": True, "quiet": True, "vcs_ref": "HEAD"}
    rendered = fastest(lambda target: run_copy(str(REPOSITORY), str(target), **options))
    print(f"copier copy: {rendered:.2f} s, {rendered / plain:.0f} times a plain copy ({plain * 1000:.0f} ms)")


if __name__ == "__main__":
    main()
