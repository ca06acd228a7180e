"""The contact sheet shows what it is given, small, and always in the same bytes."""

import numpy as np
import pytest
from PIL import Image

from suite.evaluation import examples


def frame(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """A frame that compresses badly, as photographs do: blurred noise."""
    rough = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


def rows(queries: int, neighbours: int) -> list[dict]:
    return [
        {
            "query": frame(100 * q),
            "query_class": "Archery",
            "neighbours": [(frame(100 * q + n + 1), "BasketballDunk", n % 2 == 0) for n in range(neighbours)],
        }
        for q in range(queries)
    ]


def borders(path, row: int, columns: int, height: int = 96) -> list[tuple[int, int, int]]:
    """Colour of the border around each picture of a row."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    width = round(height * 160 / 120)
    top = examples.LINE + examples.GAP + row * (height + 2 * examples.BORDER + 2 * examples.LINE + examples.GAP)
    cell = width + 2 * examples.BORDER + examples.GAP
    lefts = [examples.GAP + c * cell + (examples.GAP if c else 0) for c in range(columns)]
    return [tuple(int(v) for v in sheet[top + height // 2, left + 1]) for left in lefts]


def test_right_wrong_and_unjudged_differ_by_border(tmp_path):
    path = tmp_path / "sheet.png"
    sheet = rows(2, 2)
    sheet[1]["neighbours"][1] = (frame(7), "Surfing", None)
    examples.contact_sheet(sheet, path)
    grey, green, red = borders(path, 0, 3)
    assert max(grey) - min(grey) < 20
    assert green[1] > green[0] + 80
    assert red[0] > red[1] + 80
    assert borders(path, 1, 3)[2] == pytest.approx(grey, abs=12)


def test_right_and_wrong_read_without_colour(tmp_path):
    """The words below two neighbours that differ in nothing else differ in more than colour."""
    marks = []
    for right in (True, False, None):
        path = tmp_path / f"{right}.png"
        examples.contact_sheet([{"query": frame(0), "query_class": "A", "neighbours": [(frame(1), "B", right)]}], path)
        page = np.asarray(Image.open(path).convert("L"))
        below = page[-examples.LINE - examples.GAP // 2 :, page.shape[1] // 2 :]
        marks.append(below < 200)
    assert marks[0].sum() > 40
    assert marks[1].sum() > 40
    assert (marks[0] ^ marks[1]).sum() > 40
    assert not marks[2].any()


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        examples.contact_sheet(rows(2, 2), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    changed = rows(2, 2)
    changed[1]["neighbours"][0] = (frame(1), "BasketballDunk", False)
    examples.contact_sheet(changed, tmp_path / "three.png")
    assert (tmp_path / "three.png").read_bytes() != (tmp_path / "one.png").read_bytes()


@pytest.mark.parametrize(("queries", "neighbours"), [(1, 1), (7, 5)])
def test_the_file_stays_small(tmp_path, queries, neighbours):
    examples.contact_sheet(rows(queries, neighbours), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size <= examples.LIMIT_BYTES


def test_long_names_do_not_run_into_the_next_picture(tmp_path):
    short, long = rows(1, 2), rows(1, 2)
    long[0]["query_class"] = "AClassNameThatIsLongerThanAnyPictureIsWide" * 3
    examples.contact_sheet(short, tmp_path / "short.png")
    examples.contact_sheet(long, tmp_path / "long.png")
    pages = [np.asarray(Image.open(tmp_path / name).convert("L")).astype(int) for name in ("short.png", "long.png")]
    assert pages[0].shape == pages[1].shape
    # What lies below the pictures and right of the query's. Text would differ by 200 levels, the palette by a few dozen.
    below = examples.LINE + examples.GAP + 96 + 2 * examples.BORDER
    right = examples.GAP + 128 + 2 * examples.BORDER + 5
    assert np.abs(pages[0] - pages[1])[below:, right:].max() < 90


def test_no_query_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one query"):
        examples.contact_sheet([], tmp_path / "sheet.png")
