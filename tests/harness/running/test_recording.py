"""Records made of results: which columns they are about."""

from pathlib import Path
from types import SimpleNamespace

from harness import tables
from harness.running import recording

TABLES = Path(__file__).parents[3] / "reference_tables"


def test_a_class_that_the_data_do_not_have_is_not_asked_for():
    paper = tables.load_paper(TABLES / "vcop-curriculum.toml")
    figure = paper.table("figure5")
    asked = SimpleNamespace(table="figure5", row="r3d", columns=tuple(column.id for column in figure.columns))
    scores = {"accuracy": 50.0, "loss": 1.0, "accuracy_Biking": 25.0, "accuracy_Archery": 75.0}
    assert recording._columns(paper, asked, scores) == ["all", "Biking"]
    # Any other score that is not there stays asked for, and is judged MISSING.
    asked = SimpleNamespace(table="table2", row="r3d_random", columns=("top1", "top5"))
    assert recording._columns(paper, asked, {"top1": 50.0}) == ["top1", "top5"]
