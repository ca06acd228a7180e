"""Charts as data first, as SVG second.

A `Chart` holds every number, label and title that its picture shows, in a grid of panels of lines or bars. Top-k curves,
training curves and slope charts are all of that form, so one function draws them. The SHA-256 of this data, the chart's digest, is
written into the SVG's description. Whether a committed picture is stale is decided by that digest: matplotlib may be upgraded,
and its bytes may move, without a false alarm.

Matplotlib is imported only when a picture is drawn, and without pyplot, so the pages can be checked without it.
"""

import hashlib
import io
import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D

    Handle = Line2D | BarContainer

# Raised when the same data is to be drawn in another way: every committed picture is then stale.
STYLE_VERSION = 2

# Okabe and Ito's colours, told apart by readers with any colour vision; index 0, a grey, is kept for random initialisation.
PALETTE = ("#6b6b6b", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6200", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# Inches.
PANEL_WIDTH, LABELLED_PANEL_WIDTH, PANEL_HEIGHT = 2.5, 1.45, 1.9
LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.18, 0.62, 0.5
# Less above panels without titles.
UNTITLED = 0.22
GAP_X, GAP_Y = 0.62, 0.82
LEGEND_LINE = 0.18
# Between the end of a line and its label, and between that and whatever comes next.
END_LABEL_GAP, END_LABEL_MARGIN = 0.22, 0.15
END_LABEL_SIZE, END_LABEL_LINE, END_LABEL_PAD = 7, 0.12, 0.045
# Letters after which a label goes on in the next line.
END_LABEL_LETTERS = 26
# A group of bars, one of them for each line; and from one panel of bars to the next, whose labels stand between.
BAR_HEIGHT, BAR_GAP = 0.11, 0.07
# What a chart in a page can be wide without its letters getting too small to read.
WIDEST = 12.4


@dataclass(frozen=True)
class Line:
    """One line or one set of points; `None` in `y` is a gap, never a zero."""

    label: str  # in the legend, once per chart; "" is left out of it
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()  # a shaded band, or error bars where x has two places; empty: none
    high: tuple[float | None, ...] = ()
    colour: int = 1  # index into PALETTE, which also picks the marker
    dashed: bool = False
    points_only: bool = False  # hollow markers without a line: the printed values
    end_label: str = ""  # written to the right of the last point


@dataclass(frozen=True)
class Panel:
    """One pair of axes. Units stand in the labels."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...] = ()
    log_x: bool = False
    # Horizontal bars, the first at the top: x are places from 0 on, whose names are the ticks.
    bars: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture to be: `name` is its file name under the pages' folder figures/, `alt` says in words what it shows."""

    name: str
    title: str
    alt: str
    panels: tuple[tuple[Panel, ...], ...]
    share_y: bool = True  # the panels of one row have one vertical scale

    def digest(self) -> str:
        """SHA-256 (hex) of everything the picture shows and of how it is drawn."""
        content = json.dumps([STYLE_VERSION, self], default=vars, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()


def drawn_digest(path: Path) -> str | None:
    """The digest of the data from which the SVG at `path` was drawn; None if there is no such picture or it tells of none."""
    if not path.is_file():
        return None
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(4096)
    except OSError:
        return None
    found = re.search(r"inputs sha256:([0-9a-f]{64})", head)
    return found.group(1) if found else None


def draw(chart: Chart, folder: Path) -> bool:
    """Draws `chart` into `folder` as an SVG, unless the picture there already shows the same data. True if it drew."""
    path = folder / chart.name
    if drawn_digest(path) == chart.digest():
        return False
    import matplotlib

    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change a committed picture
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "figures",
                "svg.fonttype": "none",  # text stays text: small, searchable; Verdana is as wide as DejaVu Sans
                "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
                "text.parse_math": False,  # a dollar in a name is a dollar
                "font.size": 8,
                "axes.titlesize": 8.5,
                "axes.linewidth": 0.6,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "axes.grid.axis": "y",
                "grid.color": "#e3e3e3",
                "grid.linewidth": 0.5,
                "lines.linewidth": 1.4,
                "lines.markersize": 3.8,
                "path.simplify": True,
            }
        )
        canvas = _layout(chart)
        unfinished = path.with_name(path.name + ".part")
        metadata = {"Date": None, "Creator": None, "Description": f"inputs sha256:{chart.digest()}"}
        drawing = io.StringIO()
        canvas.savefig(drawing, format="svg", metadata=metadata)
        unfinished.write_text(_compact(drawing.getvalue()), encoding="utf-8")
        unfinished.replace(path)
    return True


def _compact(svg: str) -> str:
    """The same picture in half the bytes: hundredths of a point are enough, and what every text or group repeats is said once."""
    svg = re.sub(r"(\d+\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", svg)
    family = re.search(r"font-family: [^;\"]+", svg)
    if family:
        svg = svg.replace(f"{family[0]}; ", "").replace('<style type="text/css">', f"<style>text{{{family[0]}}} ", 1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<g>\s*</g>", "", svg)
    svg = re.sub(r"<g>\s*(<text [^<>]*>[^<>]*</text>|<path [^<>]*/>)\s*</g>", r"\1", svg)
    styles = [style for style, times in Counter(re.findall(r' style="([^"]*)"', svg)).items() if times > 1]
    rules = ""
    for number, style in enumerate(styles):
        svg = svg.replace(f' style="{style}"', f' class="s{number}"')
        rules += f".s{number}{{{style}}}"
    svg = svg.replace("</style>", f"{rules}</style>", 1)
    return re.sub(r"\s*\n\s*", "\n", svg)


def wrapped(label: str) -> str:
    """An end label in lines of at most END_LABEL_LETTERS letters."""
    return "\n".join(textwrap.wrap(label, END_LABEL_LETTERS))


def end_label_width(labels: Iterable[str]) -> float:
    """Inches that end labels take to the right of a panel; 0 without labels."""
    letters = max((len(line) for label in labels for line in wrapped(label).splitlines()), default=0)
    # DejaVu Sans and Verdana: somewhat more than half of the size a letter, with as many capitals and digits as names have.
    return letters and letters * END_LABEL_SIZE / 72 * 0.58 + END_LABEL_GAP + END_LABEL_MARGIN


def _label_height(text: str) -> float:
    return END_LABEL_LINE * (1 + text.count("\n")) + END_LABEL_PAD


def _stacked_height(panel: Panel) -> float:
    """Inches that a panel's end labels or bars need."""
    if panel.bars:
        return len(panel.ticks) * (BAR_HEIGHT * len(panel.lines) + BAR_GAP)
    return sum(_label_height(wrapped(line.end_label)) for line in panel.lines if line.end_label)


def _named_width(panel: Panel) -> float:
    """Inches that the names of bars take to the left of a panel, beyond the room that numbers have."""
    return max(0, max((len(words) for _, words in panel.ticks), default=0) * 8 / 72 * 0.62 - LEFT + 0.2)


def _layout(chart: Chart) -> "Canvas":
    from matplotlib.figure import Figure as Canvas

    panels = [panel for row in chart.panels for panel in row]
    lines = [line for panel in panels for line in panel.lines]
    rows, columns = len(chart.panels), max(len(row) for row in chart.panels)
    labelled = any(line.end_label for line in lines)
    panel_width = LABELLED_PANEL_WIDTH if labelled else PANEL_WIDTH
    panel_height = max(PANEL_HEIGHT, *map(_stacked_height, panels))
    beside = end_label_width(line.end_label for line in lines)
    left = LEFT + max((_named_width(panel) for panel in panels if panel.bars), default=0)
    right, gap = RIGHT + beside, GAP_X + beside + left - LEFT
    entries = [label for label in dict.fromkeys(line.label for line in lines) if label]
    # A title is about 0.085 inch a letter; a single narrow panel must not cut it off.
    width = max(left + columns * panel_width + (columns - 1) * gap + right, 0.3 + 0.085 * len(chart.title))
    # A legend entry is about 0.07 inch a letter, and 0.6 inch for the sample of its line.
    per_line = max(1, int((width - 0.2) / (0.6 + 0.07 * max(map(len, entries), default=1))))
    legend_height = LEGEND_LINE * -(-len(entries) // per_line) + 0.08 if entries else 0
    top = TOP - (0 if any(panel.title for panel in panels) else UNTITLED)
    height = top + rows * panel_height + (rows - 1) * GAP_Y + BOTTOM + legend_height

    canvas = Canvas(figsize=(width, height), facecolor="white")
    bars = any(panel.bars for panel in panels)
    grid = canvas.subplots(rows, columns, squeeze=False, sharex=bars, sharey="row" if chart.share_y else False)
    canvas.subplots_adjust(
        left=left / width,
        right=(left + columns * panel_width + (columns - 1) * gap) / width,
        top=1 - top / height,
        bottom=(BOTTOM + legend_height) / height,
        wspace=gap / panel_width,
        hspace=GAP_Y / panel_height,
    )
    canvas.suptitle(chart.title, x=0.12 / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=9.5, weight="bold")
    handles: dict[str, Handle] = {}
    for i in range(rows):
        for j in range(columns):
            if j < len(chart.panels[i]):
                for label, handle in _panel(grid[i][j], chart.panels[i][j]).items():
                    handles.setdefault(label, handle)
            else:
                grid[i][j].set_visible(False)
    # After all panels are drawn: with a shared scale the limits are known only now.
    for i, row in enumerate(chart.panels):
        for j, panel in enumerate(row):
            _end_labels(grid[i][j], panel)
    if entries:
        canvas.legend(  # type: ignore[call-overload]  # matplotlib takes bars, its types do not say so
            [handles[label] for label in entries],
            entries,
            loc="lower left",
            bbox_to_anchor=(0.02, 0.01),
            ncols=min(per_line, len(entries)),
            frameon=False,
            fontsize=8,
            borderaxespad=0,
            labelspacing=0.3,
        )
    return canvas


def _panel(axes: "Axes", panel: Panel) -> "dict[str, Handle]":
    """Draws one panel and returns a legend handle per label."""
    from matplotlib.ticker import MaxNLocator

    if panel.bars:
        return _bars(axes, panel)
    handles: dict[str, Handle] = {}
    if panel.log_x:
        axes.set_xscale("log")
    for line in panel.lines:
        nan = [math.nan if value is None else value for value in line.y]
        colour = PALETTE[line.colour % len(PALETTE)]
        (handle,) = axes.plot(
            line.x,
            nan,
            color=colour,
            linestyle="none" if line.points_only else "--" if line.dashed else "-",
            marker=MARKERS[line.colour % len(MARKERS)] if len(line.x) <= 8 or line.points_only else None,
            markerfacecolor="white" if line.points_only else colour,
            markersize=6 if line.points_only else None,
            zorder=3 if line.points_only else 2,
            clip_on=False,
        )
        handles.setdefault(line.label, handle)
        _spread(axes, line, colour)
    # A given height spares matplotlib the search for one, a third of the drawing time.
    axes.set_title(panel.title, loc="left", y=1.02)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.tick_params(length=0, labelleft=True)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if panel.ticks:
        axes.set_xticks([place for place, _ in panel.ticks], [text for _, text in panel.ticks])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if not any(value is not None for line in panel.lines for value in line.y):
        axes.text(0.5, 0.5, "no results", transform=axes.transAxes, ha="center", color="#6b6b6b")
    return handles


def _bars(axes: "Axes", panel: Panel) -> "dict[str, Handle]":
    """Draws a panel of bars and returns a legend handle per label."""
    handles: dict[str, Handle] = {}
    height = 0.8 / len(panel.lines)
    for number, line in enumerate(panel.lines):
        places = [x - 0.4 + (number + 0.5) * height for x in line.x]
        known = [(place, value) for place, value in zip(places, line.y, strict=True) if value is not None]
        colour = PALETTE[line.colour % len(PALETTE)]
        drawn = axes.barh([p for p, _ in known], [v for _, v in known], height=height, color=colour, linewidth=0)
        handles.setdefault(line.label, drawn)
        spreads = zip(places, line.low, line.high, strict=False)
        if ends := [(p, low, high) for p, low, high in spreads if low is not None and high is not None]:
            axes.hlines(*zip(*ends, strict=True), color="#1c2024", linewidth=0.8)
    axes.set_title(panel.title, loc="left", y=1.02)
    axes.set_xlabel(panel.y_label)
    axes.set_ylabel(panel.x_label)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.set_yticks([place for place, _ in panel.ticks], [words for _, words in panel.ticks])
    axes.set_ylim(len(panel.ticks) - 0.4, -0.6)
    axes.set_xlim(left=min([0, *(value for line in panel.lines for value in line.y if value is not None)]))
    return handles


def _spread(axes: "Axes", line: Line, colour: str) -> None:
    """A band around a line; error bars where there are only two places, as in a slope chart."""
    known = [(x, a, b) for x, a, b in zip(line.x, line.low, line.high, strict=False) if a is not None and b is not None]
    if not known:
        return
    x, low, high = zip(*known, strict=True)
    if len(line.x) <= 2:
        axes.vlines(x, low, high, color=colour, linewidth=0.9, alpha=0.7, clip_on=False)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _end_labels(axes: "Axes", panel: Panel) -> None:
    """Names the lines at their right ends, pushed apart so that no label covers another."""
    ends = [(line.y[-1], wrapped(line.end_label), line.colour) for line in panel.lines if line.end_label]
    labels = sorted((value, text, colour) for value, text, colour in ends if value is not None)
    if not labels:
        return
    low, high = axes.get_ylim()
    inch = (high - low) / axes.bbox.height * axes.figure.dpi
    heights = [_label_height(text) * inch for _, text, _ in labels]
    steps = [(one + other) / 2 for one, other in pairwise(heights)]
    places = [labels[0][0]]
    for (value, _, _), step in zip(labels[1:], steps, strict=True):
        places.append(max(value, places[-1] + step))
    # What grew past the top is pushed back down.
    places[-1] = min(places[-1], high)
    for i in reversed(range(len(steps))):
        places[i] = min(places[i], places[i + 1] - steps[i])
    last = max(line.x[-1] for line in panel.lines)
    leaders = []
    for place, (value, text, colour) in zip(places, labels, strict=True):
        shown: dict[str, Any] = {"color": PALETTE[colour % len(PALETTE)], "fontsize": END_LABEL_SIZE, "va": "center"}
        axes.text(last + 0.18, place, text, linespacing=1.15, **shown)
        leaders += [(last + 0.06, value), (last + 0.15, place), (math.nan, math.nan)]
    axes.plot(*zip(*leaders, strict=True), color="#bdbdbd", linewidth=0.5, clip_on=False)
    axes.set_xlim(panel.lines[0].x[0] - 0.15, last + 0.12)
    axes.set_ylim(low, high)
