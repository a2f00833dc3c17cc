"""The plots of the report, each an inline PNG: drawn with matplotlib's Agg, no display, no network.

Colours are from Okabe & Ito (2008), told apart by all kinds of colour vision.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Num
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from genograph.evaluation.scores import CANARY, CEILINGS, MODEL, SPLIT_WORDS, Score, pearson

BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#E69F00", "#009E73", "#9A9A9A", "#D55E00"
DENSE = 1_500
"""Points above which a scatter becomes a hexbin."""
FEWEST = 5
"""Strains below which each is a point instead of a box."""
DPI = 110

COLOURS = {
    MODEL: BLUE,
    "gradient boosting": ORANGE,
    "GO neighbours": GREEN,
    "slow-growth signature": "#CC79A7",
    "multiplicative null": "#56B4E9",
    "one-hot ridge": "#F0E442",
    "ridge on embeddings": "#B5B5B5",
    "ridge on random embeddings": "#DCDCDC",
    CANARY: RED,
}


class Points(NamedTuple):
    """Measured and predicted values of the test strains of one split."""

    split: str
    measured: Float64[np.ndarray, " strain"]
    predicted: Float64[np.ndarray, " strain"]
    spread: Float64[np.ndarray, " strain"]


class Picture(NamedTuple):
    """One image of the report.

    Attributes:
        title: what it shows.
        caption: how to read it.
        data: PNG as a data URI.
    """

    title: str
    caption: str
    data: str


def encode_picture(figure: Figure, title: str, caption: str) -> Picture:
    """A drawn figure as an inline PNG."""
    FigureCanvasAgg(figure)
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(
        title, caption, "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()
    )


def make_panels(
    n: int, *, width: float = 3.6, height: float = 3.3, left: float = 0.75, gap: float = 0.75
) -> tuple[Figure, list[Axes]]:
    """A row of n axes; sizes in inches, margins fixed, for a layout engine draws all of it twice.

    Args:
        n: axes.
        width: of an axis together with the gap before it.
        height: of the figure.
        left: room for the labels of the first axis.
        gap: room for those of the others.
    """
    axis, right, bottom, top = width - gap, 0.15, 0.58, 0.5
    whole = left + n * axis + (n - 1) * gap + right
    figure = Figure(figsize=(whole, height))
    figure.subplots_adjust(
        left=left / whole,
        right=1 - right / whole,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap / axis,
    )
    axes = figure.subplots(1, n, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
        ax.locator_params(nbins=6)
    return figure, list(axes)


def add_colour_bar(ax: Axes, hexagons: PolyCollection, counted: str) -> None:
    """Put the scale of a hexbin's numbers into the axis's lower right corner."""
    inside = ax.inset_axes((0.60, 0.10, 0.35, 0.03))
    assert ax.figure is not None
    bar = ax.figure.colorbar(hexagons, cax=inside, orientation="horizontal")
    bar.set_label(f"{counted} in a hexagon", fontsize=6, labelpad=1)
    bar.ax.tick_params(labelsize=6, length=2, pad=1)


def draw_scatter(
    points: Sequence[Points], name: str, *, unit: str = "", counted: str = "strains"
) -> Picture:
    """Measured on x, predicted on y, a panel for each split; n counts what `counted` says."""
    figure, axes = make_panels(len(points))
    for ax, p in zip(axes, points, strict=True):
        both = np.concatenate([p.measured, p.predicted])
        low, high = np.quantile(both, [0.001, 0.999])
        outside = int(((both < low) | (both > high)).sum()) if len(p.measured) > DENSE else 0
        if not outside:
            low, high = both.min(), both.max()
        margin = 0.04 * (high - low) or 0.01
        low, high = low - margin, high + margin
        if len(p.measured) > DENSE:
            hexagons = ax.hexbin(
                p.measured, p.predicted, gridsize=60, bins="log", cmap="viridis", mincnt=1,
                extent=(low, high, low, high), linewidths=0,
            )  # fmt: skip
            add_colour_bar(ax, hexagons, counted)
        else:
            ax.scatter(p.measured, p.predicted, s=9, alpha=0.6, color=BLUE, linewidths=0)
        ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--")
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        r = pearson(p.measured, p.predicted)
        shown = "r undefined" if np.isnan(r) else f"r = {r:.3f}"
        ax.set_title(f"{SPLIT_WORDS[p.split]}\n{shown}, {len(p.measured):,} {counted}", fontsize=9)
        ax.set_xlabel(f"measured {name}", fontsize=9)
        ax.set_ylabel(f"predicted {name}", fontsize=9)
    return encode_picture(
        figure,
        f"Predicted against measured: {name}" + (f" ({unit})" if unit else ""),
        f"Test strains only; the dashed line is perfect prediction. Above {DENSE:,} points the "
        f"colour is their number in a hexagon, on a logarithmic scale, and the axes leave "
        f"out the outermost 0.1 % on either side.",
    )


def draw_boxes(p: Points, name: str, edges: Sequence[float]) -> Picture:
    """Box plots of the prediction by bins of the measurement."""
    figure, (ax,) = make_panels(1, width=7.5, height=3.4)
    place = np.digitize(p.measured, edges)
    groups = [(k, p.predicted[place == k]) for k in range(len(edges) + 1)]
    groups = [(k, values) for k, values in groups if len(values)]
    labels = [f"{_interval(k, edges)}\nn = {len(values):,}" for k, values in groups]
    many = [(at, values) for at, (_, values) in enumerate(groups) if len(values) >= FEWEST]
    if many:
        ax.boxplot(
            [values for _, values in many], positions=[at for at, _ in many], whis=(5, 95),
            showfliers=False, widths=0.6, patch_artist=True, medianprops={"color": "black"},
            boxprops={"facecolor": "#BFD9EA", "edgecolor": BLUE},
        )  # fmt: skip
    for at, (_, values) in enumerate(groups):
        if len(values) < FEWEST:
            ax.scatter(np.full(len(values), at), values, s=14, color=BLUE)
    ax.set_xticks(range(len(groups)), labels)
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.axhline(0 if min(edges) < 0 else 1, color=GREY, lw=1, ls="--")
    ax.set_xlabel(f"measured {name}", fontsize=9)
    ax.set_ylabel(f"predicted {name}", fontsize=9)
    return encode_picture(
        figure,
        f"Predictions by measured bin: {name}, {SPLIT_WORDS[p.split]}",
        f"Boxes span the middle half of the predictions, whiskers the middle 90 %; of fewer than "
        f"{FEWEST} strains each is a point. Boxes that climb from left to right without "
        f"overlapping tell the classes apart.",
    )


def _interval(k: int, edges: Sequence[float]) -> str:
    if k == 0:
        return f"< {edges[0]:g}"
    if k == len(edges):
        return f"≥ {edges[-1]:g}"
    return f"{edges[k - 1]:g} to {edges[k]:g}"


def draw_residuals(p: Points, name: str) -> Picture:
    """Histogram of the residuals, and residuals against predictions."""
    figure, (left, right) = make_panels(2, width=4.2)
    error = p.measured - p.predicted
    left.hist(error, bins=int(np.clip(len(error) // 8, 8, 60)), color=BLUE)
    left.axvline(0, color=GREY, lw=1, ls="--")
    left.set_xlabel("measured − predicted", fontsize=9)
    left.set_ylabel("strains", fontsize=9)
    left.set_title(f"mean {error.mean():+.4f}, s.d. {error.std():.4f}", fontsize=9)
    if len(error) > DENSE:
        hexagons = right.hexbin(
            p.predicted, error, gridsize=60, bins="log", cmap="viridis", mincnt=1
        )
        add_colour_bar(right, hexagons, "strains")
    else:
        right.scatter(p.predicted, error, s=9, alpha=0.6, color=BLUE, linewidths=0)
    centres, middle = running_median(p.predicted, error)
    right.axhline(0, color=GREY, lw=1, ls="--")
    if len(centres) > 1:
        right.plot(centres, middle, color=RED, lw=1.5, label="running median")
        right.legend(fontsize=8, frameon=False)
    right.set_xlabel(f"predicted {name}", fontsize=9)
    right.set_ylabel("measured − predicted", fontsize=9)
    return encode_picture(
        figure,
        f"Residuals: {name}, {SPLIT_WORDS[p.split]}",
        "A running median that leaves zero is a bias: there the model over- or underestimates.",
    )


def running_median(
    x: Float64[np.ndarray, " strain"], y: Float64[np.ndarray, " strain"], *, n_bin: int = 20
) -> tuple[Float64[np.ndarray, " bin"], Float64[np.ndarray, " bin"]]:
    """Medians of x and y in bins of equally many strains, ordered by x."""
    order = np.array_split(np.argsort(x, kind="stable"), max(1, min(n_bin, len(x) // 10)))
    return (
        np.array([np.median(x[part]) for part in order]),
        np.array([np.median(y[part]) for part in order]),
    )


def draw_bars(rows: Sequence[Score], title: str) -> Picture:
    """Pearson of the model and its opponents, a panel for each split, one row a model."""
    splits = [s for s in SPLIT_WORDS if any(row.split == s for row in rows)]
    models = list(dict.fromkeys(row.model for row in rows if row.model not in CEILINGS))[::-1]
    held = {(row.model, row.split): row for row in rows}
    height = 1.15 + 0.24 * len(models)
    figure, axes = make_panels(len(splits), width=2.9, height=height, left=1.9, gap=0.35)
    for number, (ax, split) in enumerate(zip(axes, splits, strict=True)):
        values = [held[m, split].pearson if (m, split) in held else np.nan for m in models]
        ax.barh(
            range(len(models)),
            np.nan_to_num(values),
            color=[COLOURS.get(model, GREY) for model in models],
        )
        for at, value in enumerate(values):
            text = "–" if np.isnan(value) else f"{value:.3f}"
            # a label stands on white, before the lines of the ceilings
            ax.text(
                max(0.0, float(np.nan_to_num(value))) + 0.015, at, text, va="center", fontsize=8,
                zorder=4, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
        ax.set_yticks(range(len(models)), models if number == 0 else [""] * len(models), fontsize=8)
        for ceiling, style in zip(CEILINGS, ("--", ":"), strict=True):
            row = held.get((ceiling, split))
            if row is not None and not np.isnan(row.pearson):
                ax.axvline(row.pearson, color="black", lw=1, ls=style)
        ax.axvline(0, color="black", lw=0.6)
        floor = min([0.0, *(v for v in values if not np.isnan(v))])
        ax.set_xlim(1.1 * floor - 0.02, 1.2)
        n = max(row.n for row in rows if row.split == split)
        ax.set_title(f"{SPLIT_WORDS[split]}, n = {n:,}", fontsize=9)
        ax.set_xlabel("Pearson", fontsize=9)
    return encode_picture(
        figure,
        f"Model and baselines: {title}",
        "– is undefined: a constant prediction has no correlation. Vertical lines are ceilings: "
        "dashed what the noise-free truth of a simulation scores, dotted what a repeated "
        "measurement does.",
    )


def draw_training(columns: dict[str, Num[np.ndarray, " epoch"]]) -> Picture | None:
    """Losses, validation scores and the predicted wild type over steps, a line a member."""
    if "step" not in columns or not len(columns["step"]):
        return None
    losses = [n for n in columns if n == "loss" or n.startswith("loss_")]
    checks = [n for n in columns if n.startswith("validation_")]
    figure, (left, middle, right) = make_panels(3, width=3.7)
    members = columns.get("member", np.zeros(len(columns["step"])))
    palette = ["black", BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9"]
    for ax, names in ((left, losses), (middle, checks), (right, ["wild_type_fitness"])):
        for colour, name in zip(palette, [n for n in names if n in columns], strict=False):
            for number, member in enumerate(np.unique(members)):
                at = members == member
                values = columns[name][at]
                label = name.replace("_", " ") if number == 0 else None
                ax.plot(columns["step"][at], values, color=colour, lw=1.2, label=label, alpha=0.8)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=7, frameon=False)
        ax.set_xlabel("step", fontsize=9)
    left.set_title("training loss", fontsize=9)
    middle.set_title("validation, Pearson", fontsize=9)
    right.set_title("predicted fitness of the wild type", fontsize=9)
    if "wild_type_fitness" in columns:
        off = float(np.nanmax(np.abs(columns["wild_type_fitness"] - 1.0)))
        right.set_ylim(1 - max(1e-5, 2 * off), 1 + max(1e-5, 2 * off))
        right.set_title(f"predicted wild type, largest |f − 1| = {off:.1e}", fontsize=9)
        right.ticklabel_format(useOffset=False)
    return encode_picture(
        figure,
        "Training",
        "One line for each member of the ensemble. The wild type is 1 by construction at every "
        "step; any departure is an error of the program.",
    )


def draw_calibration(points: Sequence[Points], noise: Sequence[Any], name: str) -> Picture | None:
    """Expected against observed error in bins of expected error, and coverage of intervals.

    `noise` holds the s.d. of the measurements, aligned with `points`.
    """
    figure, (left, right) = make_panels(2, width=4.2)
    drawn = False
    for colour, p, measured_sd in zip((BLUE, ORANGE, GREEN), points, noise, strict=False):
        known = np.isfinite(p.spread)
        if known.sum() < 30:
            continue
        drawn = True
        typical = np.nanmedian(measured_sd) if np.isfinite(measured_sd).any() else 0.0
        sd = np.hypot(p.spread, np.where(np.isfinite(measured_sd), measured_sd, typical))[known]
        error = (p.measured - p.predicted)[known]
        parts = np.array_split(np.argsort(sd, kind="stable"), min(10, len(sd) // 15))
        expected = [float(np.sqrt(np.mean(sd[part] ** 2))) for part in parts]
        observed = [float(np.sqrt(np.mean(error[part] ** 2))) for part in parts]
        label = SPLIT_WORDS[p.split]
        left.plot(expected, observed, "o-", color=colour, ms=4, lw=1, label=label)
        z = np.abs(error) / np.maximum(sd, 1e-12)
        grid = np.linspace(0, 3, 61)
        right.plot(grid, [(z <= g).mean() for g in grid], color=colour, lw=1.2, label=label)
    if not drawn:
        return None
    top = max(left.get_xlim()[1], left.get_ylim()[1])
    left.plot([0, top], [0, top], color=GREY, lw=1, ls="--")
    left.set(xlim=(0, top), ylim=(0, top))
    left.set_xlabel("expected error (predicted and measured s.d.)", fontsize=9)
    left.set_ylabel("observed error (RMS)", fontsize=9)
    left.legend(fontsize=7, frameon=False)
    from scipy.stats import norm

    grid = np.linspace(0, 3, 61)
    right.plot(grid, 2 * norm.cdf(grid) - 1, color=GREY, lw=1, ls="--", label="calibrated")
    right.set_xlabel("interval, ± s.d.", fontsize=9)
    right.set_ylabel("share of strains inside", fontsize=9)
    right.legend(fontsize=7, frameon=False)
    return encode_picture(
        figure,
        f"Calibration of the predicted s.d.: {name}",
        "Points above the dashed line: the error is larger than the predicted s.d. says. The s.d. "
        "is that over the ensemble's members together with the measurement's own.",
    )


def draw_histograms(
    values: dict[str, Float64[np.ndarray, " item"]], title: str, caption: str
) -> Picture:
    """Histograms of correlations, a panel for each split, with the median."""
    figure, axes = make_panels(len(values), width=4.0, height=2.8)
    for ax, (split, each) in zip(axes, values.items(), strict=True):
        ax.hist(each, bins=np.linspace(-1, 1, 41).tolist(), color=BLUE)
        ax.axvline(float(np.median(each)), color=RED, lw=1.2)
        words = f"{SPLIT_WORDS[split]}\nmedian {np.median(each):.3f}, n = {len(each):,}"
        ax.set_title(words, fontsize=9)
        ax.set_xlabel("Pearson", fontsize=9)
    return encode_picture(figure, title, caption)
