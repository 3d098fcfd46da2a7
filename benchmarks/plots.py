"""Draws the plots on the results page from its figures."""

from pathlib import Path
from statistics import median
from typing import Any

COLORS = {"project": "#2563eb", "hawkapi-users": "#94a3b8", "fastapi-users": "#cbd5e1"}
NAMES = {"project": "this template", "hawkapi-users": "hawkapi-users", "fastapi-users": "fastapi-users"}


def draw(figures: dict[str, Any], folder: Path) -> None:
    """Write `comparison.png`, `growth.png` and `processes.png` into *folder*."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110}
    )
    folder.mkdir(exist_ok=True)
    _comparison(figures, folder / "comparison.png")
    _growth(figures["growth"], folder / "growth.png")
    _processes(figures["processes"], folder / "processes.png")


def _comparison(figures: dict[str, Any], path: Path) -> None:
    from matplotlib import pyplot

    routes = figures["routes"]["PostgreSQL"]
    panels = (
        ("Current user\nGET /users/me, requests/s", "GET /users/me, requests/s"),
        ("A trivial route while people log in\nrequests/s", "GET /healthz during logins, requests/s"),
        ("The same, slowest 1 %\nms (less is better)", "GET /healthz during logins, p99 ms"),
    )
    figure, axes = pyplot.subplots(1, len(panels), figsize=(10, 2.8), layout="constrained")
    for axis, (title, row) in zip(axes, panels, strict=True):
        names = list(NAMES)
        values = [median(routes[name][row]) for name in names]
        bars = axis.barh([NAMES[name] for name in names], values, color=[COLORS[name] for name in names])
        axis.bar_label(bars, fmt="%.0f", padding=3)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, max(values) * 1.18)
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        axis.invert_yaxis()
        if axis is not axes[0]:
            axis.set_yticklabels([])
    figure.savefig(path)


def _growth(growth: dict[str, dict[str, float]], path: Path) -> None:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.5, 3.4), layout="constrained")
    for name, values in growth.items():
        axis.plot([int(size) for size in values], list(values.values()), marker="o", label=name)
    axis.set(
        xscale="log", yscale="log", xlabel="accounts", ylabel="median, ms", title="PostgreSQL, one client"
    )
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path)


def _processes(processes: dict[str, float], path: Path) -> None:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(4.5, 2.8), layout="constrained")
    bars = axis.bar(list(processes), list(processes.values()), color=COLORS["project"])
    axis.bar_label(bars, fmt="%.0f")
    axis.set(xlabel="processes", ylabel="requests/s", title="GET /users/me, PostgreSQL")
    figure.savefig(path)
