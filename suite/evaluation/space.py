"""How five classes lie in feature space: the mean silhouette, and a t-SNE picture (srop Sec. IV-F1, Fig. 4).

Shapes: N clips, D features. The paper prints only pictures; the silhouette is our number for what they show.

Both look at directions alone, as retrieval does: features are divided by their lengths in float64 first. Untrained networks
give nearly collinear features, some of a length that libraries take for zero.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from suite.errors import InputError

# The paper's classes, of UCF101 in alphabetical order.
CLASSES = (0, 10, 20, 30, 40)
# t-SNE's usual perplexity; fewer clips get a third of the neighbours that they have.
PERPLEXITY = 30
# Below this root mean square about the mean, unit vectors differ by rounding only.
SAME = 1e-12
# Pixels of the picture; colours that the colour-blind tell apart (Okabe and Ito), and a shape for each.
SIZE, DPI = (900, 700), 100
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v")


def five_classes(classes: int) -> list[int]:
    """Indices of the classes to look at: the paper's where there are more than 40, else five evenly spaced, or all of fewer."""
    if classes > max(CLASSES):
        return list(CLASSES)
    count = min(classes, len(CLASSES))
    return [place * classes // count for place in range(count)]


def silhouette(features: np.ndarray, labels: Sequence[int] | np.ndarray) -> float:
    """The mean silhouette of the classes by cosine distance, from -1 to 1 (Rousseeuw 1987; the tables print it times 100).

    For a clip, (b - a) / max(a, b): a is its mean distance to the others of its class, b the one to the nearest other class.
    A clip alone in its class counts 0.

    Args:
        features: [N, D].
        labels: class index of each clip.

    Raises:
        InputError: fewer than two classes, no class with two clips, or a feature is NaN or infinite.
    """
    from sklearn.metrics import silhouette_score

    directions = _directions(features)
    if len(labels) != len(directions):
        raise ValueError(f"{len(directions)} clips have {len(labels)} labels")
    classes = len(np.unique(labels))
    if not 2 <= classes < len(labels):
        raise InputError(
            f"a silhouette needs two classes and more clips than classes, not {len(labels)} clips of {classes}; "
            "give more videos"
        )
    return float(silhouette_score(directions, labels, metric="cosine"))


def embedding(features: np.ndarray, seed: int) -> np.ndarray:
    """t-SNE of features [N, D] in the plane, by cosine similarity: float32 [N, 2], the same for the same seed and threads.

    It starts from the two principal components. Features that are all alike lie at the origin.

    Raises:
        InputError: fewer than 4 clips, or a feature is NaN or infinite.
    """
    from sklearn.manifold import TSNE

    directions = _directions(features)
    count, size = directions.shape
    if count < 4 or size < 2:
        raise InputError(f"t-SNE needs 4 clips and 2 features, not {count} and {size}; give more videos")
    # Squared distances of unit vectors are twice their cosine distances. Neither the mean nor the scale counts in t-SNE.
    directions = directions - directions.mean(0)
    spread = np.sqrt((directions**2).mean())
    if spread < SAME:
        # scikit-learn would divide by zero and crash.
        return np.zeros((count, 2), np.float32)
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(directions / spread)


def space_picture(
    points: np.ndarray, labels: Sequence[int] | np.ndarray, class_names: Sequence[str] | Mapping[int, str], path: Path
) -> None:
    """Write a PNG of 900 x 700 pixels: a point for each clip, a colour and a shape for each class; same input, same bytes.

    Args:
        points: [N, 2], as of `embedding`; the axes mean nothing and have no ticks.
        labels: class index of each clip, of at most five classes.
        class_names: by class index.
    """
    import matplotlib
    from matplotlib.figure import Figure

    points, classes = np.asarray(points), np.asarray(labels)
    shown = np.unique(classes).tolist()
    if len(shown) > len(COLOURS):
        raise ValueError(f"{len(shown)} classes are too many for one picture; it has {len(COLOURS)} colours")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the picture
        figure = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI)
        axes = figure.add_axes((0.03, 0.13, 0.94, 0.84))
        for label, colour, marker in zip(shown, COLOURS, MARKERS, strict=False):
            x, y = points[classes == label].T
            axes.scatter(
                x, y, s=42, c=colour, marker=marker, linewidths=0.5, edgecolors="white", label=class_names[label]
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.04)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_color("#c8c8c8")
        figure.legend(loc="lower center", bbox_to_anchor=(0.5, 0.005), ncols=3, frameon=False, fontsize=12)
        # No version of matplotlib in the file: the bytes are those of the pixels.
        figure.savefig(path, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})


def _directions(features: np.ndarray) -> np.ndarray:
    """Features [N, D] at length 1, in float64; zeros stay zeros."""
    rows = np.asarray(features, np.float64)
    if not np.isfinite(rows).all():
        raise InputError("a feature is NaN or infinite; check the weights that the network was given")
    lengths = np.sqrt((rows * rows).sum(1, keepdims=True))
    return rows / np.where(lengths > 0, lengths, 1)
