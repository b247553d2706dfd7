import base64
import io
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from taskaware.errors import UsageError
from taskaware.evaluation.figures import (
    nearest_task,
    plot_forgetting,
    plot_map,
    separation,
    tsne,
)

NAMES = ("asr", "mt", "st")


def clusters(rows_a_task: int = 20, width: int = 64) -> tuple[np.ndarray, list[str]]:
    """Three clouds of radius about 1, their centers 30 or more apart."""
    rng = np.random.default_rng(0)
    centers_NZ = 30 * np.eye(3, width)
    noise_BZ = rng.normal(size=(3 * rows_a_task, width)) / np.sqrt(width)
    vector_BZ = np.repeat(centers_NZ, rows_a_task, axis=0) + noise_BZ
    return vector_BZ.astype(np.float32), [name for name in NAMES for _ in range(rows_a_task)]


def test_tsne_puts_each_row_beside_rows_of_its_own_cluster():
    vector_BZ, labels = clusters()
    points_B2 = tsne(vector_BZ, seed=0)
    assert points_B2.shape == (60, 2)
    distance_BB = np.linalg.norm(points_B2[:, None] - points_B2[None], axis=-1)
    np.fill_diagonal(distance_BB, np.inf)
    assert [labels[i] for i in distance_BB.argmin(axis=1)] == labels


def test_tsne_repeats_itself_for_the_same_seed():
    # One cloud, without a direction that the principal components must find.
    vector_BZ = np.random.default_rng(0).normal(size=(120, 64))
    np.testing.assert_array_equal(tsne(vector_BZ, seed=3), tsne(vector_BZ, seed=3))


@pytest.mark.parametrize("rows", [4, 5, 70])
def test_tsne_takes_few_rows_and_rows_that_repeat(rows):
    # What an explicit network gives: one vector a task, here two tasks.
    vector_BZ = np.tile(np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]]), (rows, 1))[:rows]
    points_B2 = tsne(vector_BZ, seed=0)
    assert points_B2.shape == (rows, 2)
    assert np.isfinite(points_B2).all()


@pytest.mark.parametrize(
    ("vector_BZ", "names"),
    [
        (np.eye(3), "at least 4 task vectors of width 2, found 3 of width 3"),
        (np.arange(5.0)[:, None], "found 5 of width 1"),
        (np.ones((5, 3)), "all 5 task vectors are the same"),
        (np.array([[0.0, 1], [1, 0], [np.nan, 1], [2, 2]]), "the first in row 2"),
    ],
)
def test_tsne_refuses_what_has_no_map(vector_BZ, names):
    with pytest.raises(UsageError, match=names):
        tsne(vector_BZ, seed=0)


def test_separation_of_four_points_is_the_silhouette_worked_by_hand():
    # On a line at 0 and 1, 10 and 11. At 0: a = 1, b = (10 + 11) / 2; at 1: a = 1,
    # b = (9 + 10) / 2; the other two mirror these.
    vector_BZ = np.array([[0.0, 5], [10, 5], [1, 5], [11, 5]])
    by_hand = ((10.5 - 1) / 10.5 + (9.5 - 1) / 9.5) / 2
    assert separation(vector_BZ, ["st", "mt", "st", "mt"]) == pytest.approx(by_hand)
    # With the labels crossed, at 0: a = 10, b = (1 + 11) / 2; at 10: a = 10, b = (9 + 1) / 2.
    crossed = ((6 - 10) / 10 + (5 - 10) / 10) / 2
    assert separation(vector_BZ, ["st", "st", "mt", "mt"]) == pytest.approx(crossed)


def test_clusters_separate_and_one_cloud_does_not():
    vector_BZ, labels = clusters()
    assert separation(vector_BZ, labels) > 0.9
    # Rows of one cloud under arbitrary names: no structure to find.
    assert abs(separation(vector_BZ[:20], ["a", "b"] * 10)) < 0.1


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["st"] * 4, "1 different labels for 4 rows"),
        (["a", "b", "c", "d"], "4 different labels for 4 rows"),
        (["st", "mt"], "found 2 for 4 rows"),
    ],
)
def test_separation_refuses_labels_that_separate_nothing(labels, names):
    with pytest.raises(UsageError, match=names):
        separation(np.eye(4), labels)


def test_the_nearest_task_is_the_one_of_the_cluster():
    vector_BZ, _ = clusters()
    centers_NZ = 30 * np.eye(3, 64, dtype=np.float32)
    np.testing.assert_array_equal(nearest_task(vector_BZ, centers_NZ), np.repeat([0, 1, 2], 20))


def test_the_nearest_task_minds_length_as_well_as_direction():
    centers_NZ = np.array([[4.0, 0.0], [1.0, 0.5]])
    # The row points exactly along the first center and lies nearer to the second.
    np.testing.assert_array_equal(nearest_task(np.array([[1.0, 0.0]]), centers_NZ), [1])
    with pytest.raises(UsageError, match="first in row 0"):
        nearest_task(np.array([[np.nan, 0.0]]), centers_NZ)


@pytest.fixture
def drawn(tmp_path):
    vector_BZ, labels = clusters()
    path = tmp_path / "figures" / "fig.2a"  # a folder to be made, and a dot that is no suffix
    plot_map(vector_BZ[:, :2], labels, path, "Three <tasks> & $1")
    return path


def test_a_figure_is_a_png_and_an_svg_and_nothing_else(drawn):
    assert sorted(p.name for p in drawn.parent.iterdir()) == ["fig.2a.png", "fig.2a.svg"]
    png = drawn.with_name("fig.2a.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(int.from_bytes(png[i : i + 4], "big") for i in (16, 20)) > 600  # dots
    assert len(png) > 5000


def test_the_svg_is_xml_that_holds_title_labels_and_one_color_a_label(drawn):
    svg = drawn.with_name("fig.2a.svg").read_text(encoding="utf-8")
    elements = list(ElementTree.fromstring(svg).iter())
    texts = {"".join(element.itertext()).strip() for element in elements}
    assert {"Three <tasks> & $1", *NAMES} <= texts
    # Twenty points a label and its mark in the legend.
    styles = [element.get("style", "") for element in elements if element.tag.endswith("}use")]
    for color in ("#0072b2", "#e69f00", "#009e73"):
        assert sum(color in style for style in styles) == 21
    assert "<dc:date>" not in svg


def test_the_same_points_give_the_same_bytes(drawn, tmp_path):
    vector_BZ, labels = clusters()
    plot_map(vector_BZ[:, :2], labels, tmp_path / "again", "Three <tasks> & $1")
    for suffix in (".png", ".svg"):
        first = drawn.with_name(drawn.name + suffix).read_bytes()
        assert (tmp_path / f"again{suffix}").read_bytes() == first


def test_every_corpus_of_a_task_can_have_its_own_mark(tmp_path):
    labels = [f"_corpus {i:02}" for i in range(32)]
    points_B2 = np.random.default_rng(0).normal(size=(32, 2))
    plot_map(points_B2, labels, tmp_path / "many", "Many")
    svg = (tmp_path / "many.svg").read_text(encoding="utf-8")
    assert all(label in svg for label in labels)
    with pytest.raises(UsageError, match="1 to 32 labels, found 33"):
        plot_map(np.zeros((33, 2)), [*labels, "x"], tmp_path / "more", "More")


def test_a_figure_that_cannot_be_drawn_or_written_is_refused(tmp_path):
    points_B2 = np.zeros((2, 2))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"map\.png: cannot write the figure"):
        plot_map(points_B2, ["a", "b"], tmp_path / "file" / "map", "")
    with pytest.raises(UsageError, match="one label per row, found 1 for 2 rows"):
        plot_map(points_B2, ["a"], tmp_path / "map", "")
    with pytest.raises(UsageError, match="first in row 1"):
        plot_map(np.array([[0, 0], [0, np.inf]]), ["a", "b"], tmp_path / "map", "")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_survives_a_write_that_fails(tmp_path, monkeypatch):
    (tmp_path / "map.png").write_bytes(b"the old one")

    def full(self, file, **settings):
        file.write(bytes(100))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(UsageError, match="No space left on device"):
        plot_map(np.zeros((2, 2)), ["a", "b"], tmp_path / "map", "")
    assert (tmp_path / "map.png").read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["map.png"]


def test_drawing_touches_neither_pyplot_nor_the_callers_settings(tmp_path):
    before = dict(matplotlib.rcParams.copy())
    plot_map(np.zeros((2, 2)), ["a", "b"], tmp_path / "map", "")
    assert dict(matplotlib.rcParams.copy()) == before
    code = (
        "import sys, pathlib, numpy as np; import taskaware.evaluation.figures as a;"
        "print({'sklearn', 'matplotlib', 'scipy'} & set(sys.modules));"
        "a.plot_map(np.zeros((2, 2)), ['a', 'b'], pathlib.Path(sys.argv[1]), '');"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "map")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "False"]


MODELS, TASKS = ("before", "tuned on <asr>"), ("st BLEU", "asr $WER$", "mt & more")
SCORE = np.array([[20.0, 30.0, 25.5], [10.0, 30.0, 30.26]])
CHANGE = np.array([[0.0, 0.0, 0.0], [-10.0, 0.0, 4.76]])


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    path = tmp_path_factory.mktemp("matrix") / "figures" / "forgetting.1"
    plot_forgetting(SCORE, CHANGE, MODELS, TASKS, path, "Lost & found")
    return path


def test_a_forgetting_matrix_is_a_png_and_an_svg_and_nothing_else(matrix):
    names = ["forgetting.1.png", "forgetting.1.svg"]
    assert sorted(path.name for path in matrix.parent.iterdir()) == names
    png = matrix.with_name(names[0]).read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(int.from_bytes(png[i : i + 4], "big") for i in (16, 20)) > 400  # dots


def test_every_score_stands_as_text_above_its_task_and_beside_its_model(matrix):
    svg = matrix.with_name("forgetting.1.svg").read_text(encoding="utf-8")
    texts = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]
    place = {e.text: (float(e.get("x")), float(e.get("y"))) for e in texts}
    assert {"Lost & found", *MODELS, *TASKS} <= set(place)
    found = {
        (model, task): [
            e.text
            for e in texts
            if float(e.get("x")) == pytest.approx(place[task][0], abs=1)
            and float(e.get("y")) == pytest.approx(place[model][1], abs=5)
        ]
        for model in MODELS
        for task in TASKS
    }
    assert [*found.values()] == [["20.0"], ["30.0"], ["25.5"], ["10.0"], ["30.0"], ["30.3"]]
    assert "<dc:date>" not in svg


def test_what_was_lost_is_red_what_was_gained_is_blue_and_what_stayed_is_white(matrix):
    svg = matrix.with_name("forgetting.1.svg").read_text(encoding="utf-8")
    images = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}image")]
    data = images[0].get("{http://www.w3.org/1999/xlink}href").partition("base64,")[2]
    image = imread(io.BytesIO(base64.b64decode(data)))
    height, width = image.shape[:2]
    upside_down = "scale(1 -1)" in images[0].get("transform", "")
    image = image[::-1] if upside_down else image
    field = {
        (row, column): image[height * (2 * row + 1) // 4, width * (2 * column + 1) // 6, :3]
        for row in range(2)
        for column in range(3)
    }
    for place in ((0, 0), (0, 1), (0, 2), (1, 1)):
        assert field[place].min() > 0.9
    red, _, blue = field[1, 0]
    assert red > blue + 0.2
    red, _, blue = field[1, 2]
    assert blue > red + 0.2
    assert field[1, 0].min() < field[1, 2].min()  # ten points are more than five


def test_the_same_matrix_gives_the_same_bytes(matrix, tmp_path):
    plot_forgetting(SCORE, CHANGE, MODELS, TASKS, tmp_path / "again", "Lost & found")
    for suffix in (".png", ".svg"):
        first = matrix.with_name(matrix.name + suffix).read_bytes()
        assert (tmp_path / f"again{suffix}").read_bytes() == first


def broken(values, row):
    values = values.copy()
    values[row, 1] = np.nan if row else np.inf
    return values


@pytest.mark.parametrize(
    ("score", "change", "models", "tasks", "names"),
    [
        (SCORE, CHANGE, MODELS[:1], TASKS, r"expected 1 models × 3 tasks, found \(2, 3\)"),
        (SCORE, CHANGE, MODELS, TASKS[:2], r"expected 2 models × 2 tasks, found \(2, 3\)"),
        (SCORE.T, CHANGE.T, MODELS, TASKS, r"expected 2 models × 3 tasks, found \(3, 2\)"),
        (broken(SCORE, 1), CHANGE, MODELS, TASKS, "expected finite values.*first in row 1"),
        (SCORE, broken(CHANGE, 0), MODELS, TASKS, "expected finite values.*first in row 0"),
    ],
)
def test_a_forgetting_matrix_that_does_not_fit_is_refused_in_one_line(
    score, change, models, tasks, names, tmp_path
):
    with pytest.raises(UsageError, match=f"forgetting matrix: {names}") as raised:
        plot_forgetting(score, change, models, tasks, tmp_path / "matrix", "")
    assert len(str(raised.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())
