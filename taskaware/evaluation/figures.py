"""Figures of task vectors and of forgetting, and how well task vectors are separated."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from taskaware.errors import UsageError
from taskaware.files.whole import open_whole

# Eight colors that people with any color vision tell apart.
# Source: Okabe and Ito 2008, "Color Universal Design"; black stands last, yellow before it.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_SETTINGS: Any = {"svg.hashsalt": "taskaware", "svg.fonttype": "none", "text.parse_math": False}
_STYLES = tuple((color, marker) for marker, color in product("os^D", _COLORS))


def tsne(vector_BZ: Float[np.ndarray, "B Z"], seed: int) -> Float[np.ndarray, "B 2"]:
    """Lay task vectors out in a plane, neighbors beside neighbors.

    PCA to at most 50 dimensions, then t-SNE from the first two principal components, with
    perplexity min(30, (B - 1) / 3). The same vectors and seed give the same map. Distances
    between far clusters of such a map mean nothing; ``separation`` of the vectors does.

    Args:
        vector_BZ: one task vector per row; at least 4 rows, not all alike.
        seed: of both steps' randomized algebra; starting from principal components leaves little
            to chance, so another seed gives nearly or exactly the same map.

    Returns:
        One point per row, without a unit.

    Raises:
        UsageError: too few rows, a value that is not finite, or rows all alike.

    Source:
        Paper Fig. 2; van der Maaten and Hinton 2008 for both steps.
    """
    rows, width = vector_BZ.shape
    if rows < 4 or width < 2:
        raise UsageError(
            f"t-SNE: expected at least 4 task vectors of width 2, found {rows} of width {width}"
        )
    _require_finite("t-SNE", vector_BZ)
    if not np.ptp(vector_BZ, axis=0).any():
        raise UsageError(f"t-SNE: all {rows} task vectors are the same: there is nothing to map")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # scikit-learn's own dependency

    pca = PCA(min(50, rows, width), random_state=seed)
    model = TSNE(perplexity=min(30.0, (rows - 1) / 3), init="pca", random_state=seed)
    # Threads wait for each other in each of t-SNE's thousand short steps: two of them are less
    # than twice as fast on an idle machine, and more than ten times slower on a busy one.
    with threadpool_limits(1):
        return model.fit_transform(pca.fit_transform(vector_BZ.astype(np.float64)))


def separation(vector_BZ: Float[np.ndarray, "B Z"], labels: Sequence[str]) -> float:
    """Return how well vectors of different labels are separated: the mean silhouette.

    (b - a) / max(a, b) of each row, with a its mean Euclidean distance to its own label's other
    rows and b that to the rows of the nearest other label. 1: tight and far apart; 0:
    overlapping; below 0: nearer to another label.

    Args:
        vector_BZ: one vector per row: the vectors themselves, not their t-SNE map.
        labels: a task, or a task's corpus, for each row; two or more, one of them repeated.

    Returns:
        Between -1 and 1.

    Raises:
        UsageError: fewer than 2 labels, no label twice, or not one label per row.

    Source:
        Rousseeuw 1987, "Silhouettes"; the paper shows Fig. 2 and gives no number.
    """
    _require_labels("separation", len(vector_BZ), labels)
    if not 2 <= len(set(labels)) < len(labels):
        raise UsageError(
            f"separation: expected 2 labels or more, one of them twice or more, found "
            f"{len(set(labels))} different labels for {len(labels)} rows"
        )
    _require_finite("separation", vector_BZ)
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(vector_BZ.astype(np.float64), list(labels)))


def nearest_task(
    vector_BZ: Float[np.ndarray, "B Z"], centers_NZ: Float[np.ndarray, "N Z"]
) -> Int[np.ndarray, " B"]:
    """Recognize the task of each vector: the index of the nearest center, the first of equals.

    Euclidean, because γ and β are linear in the task vector, so its length matters to the model
    as much as its direction.

    Args:
        vector_BZ: one task vector per row.
        centers_NZ: one mean task vector per task.

    Raises:
        UsageError: a value that is not finite.

    Example:
        >>> nearest_task(np.array([[0.9, 0.0], [5.0, 5.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]))
        array([1, 1])
    """
    _require_finite("nearest task", vector_BZ)
    _require_finite("nearest task's centers", centers_NZ)
    from scipy.spatial.distance import cdist

    return cdist(vector_BZ, centers_NZ).argmin(axis=1)


def plot_map(
    points_B2: Float[np.ndarray, "B 2"],
    labels: Sequence[str],
    path_without_suffix: Path,
    title: str,
) -> None:
    """Draw a map of task vectors as .png and .svg, one color per label.

    The same points give the same bytes. The SVG keeps its text as text. Neither the global
    backend nor an open figure of the caller is touched.

    Args:
        points_B2: from ``tsne``, or any two coordinates per row.
        labels: a task, or a task's corpus, for each row; at most 32 different ones. Colors follow
            their alphabetical order, so they are the same in every figure of the same tasks.
        path_without_suffix: of both files, which are replaced whole; missing folders are made.
        title: shown above the map.

    Raises:
        UsageError: not one label per row, too many labels, a point that is not finite, or a file
            that cannot be written.
    """
    _require_labels("plot", len(points_B2), labels)
    _require_finite("plot", points_B2)
    names = sorted(set(labels))
    if not 0 < len(names) <= len(_STYLES):
        raise UsageError(f"plot: expected 1 to {len(_STYLES)} labels, found {len(names)}")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(4.5, 4.5))  # inches, which legend and title widen
        axes = figure.subplots()
        marks = []
        for name, (color, marker) in zip(names, _STYLES, strict=False):
            x, y = points_B2[[label == name for label in labels]].T
            marks.append(axes.scatter(x, y, s=14, color=color, marker=marker, linewidths=0))
        axes.set(title=title, aspect="equal", xticks=[], yticks=[])  # the axes have no unit
        axes.set_frame_on(False)
        axes.legend(marks, names, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        _save(figure, path_without_suffix)


def plot_forgetting(
    score_MN: Float[np.ndarray, "M N"],
    change_MN: Float[np.ndarray, "M N"],
    models: Sequence[str],
    tasks: Sequence[str],
    path_without_suffix: Path,
    title: str,
) -> None:
    """Draw every model's score on every task as .png and .svg; red is worse, blue better.

    Args:
        score_MN: written into the cells.
        change_MN: colors the cells: points gained since before the tuning, negative where lost.
        models: one label per row.
        tasks: one label per column.
        path_without_suffix: of both files, which are replaced whole; missing folders are made.
        title: shown above the figure.

    Raises:
        UsageError: labels that do not fit, a value that is not finite, or a file that cannot be
            written.
    """
    for values in (score_MN, change_MN):
        if values.shape != (len(models), len(tasks)):
            raise UsageError(
                f"forgetting matrix: expected {len(models)} models × {len(tasks)} tasks, found "
                f"{values.shape}"
            )
        _require_finite("forgetting matrix", values)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(1.5 + 1.1 * len(tasks), 1 + 0.6 * len(models)))  # inches
        axes = figure.subplots()
        reach = max(float(np.abs(change_MN).max()), 1.0)
        image = axes.imshow(change_MN, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
        for (row, column), score in np.ndenumerate(score_MN):
            dark = abs(change_MN[row, column]) > 0.6 * reach
            axes.text(
                *(column, row, f"{score:.1f}"),
                ha="center",
                va="center",
                color="white" if dark else "black",
            )
        axes.set_xticks(range(len(tasks)), tasks)
        axes.set_yticks(range(len(models)), models)
        axes.set_title(title)
        figure.colorbar(image, label="points gained")
        _save(figure, path_without_suffix)


def _save(figure: Any, path_without_suffix: Path) -> None:
    """Write a figure as .png and .svg, each whole or not at all."""
    for suffix, metadata in ((".png", {}), (".svg", {"Date": None})):
        path = path_without_suffix.with_name(path_without_suffix.name + suffix)
        settings = {"format": suffix[1:], "metadata": metadata}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_whole(path) as file:
                figure.savefig(file, dpi=200, bbox_inches="tight", **settings)
        except OSError as error:
            raise UsageError(f"{path}: cannot write the figure ({error.strerror})") from None


def _require_labels(what: str, rows: int, labels: Sequence[str]) -> None:
    if len(labels) != rows:
        raise UsageError(f"{what}: expected one label per row, found {len(labels)} for {rows} rows")


def _require_finite(what: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise UsageError(f"{what}: expected finite values, found others, the first in row {row}")
