"""Whatever the order in which stages end, a run leaves the same records, and each is made of stages that are done.

Plans, keys, folders and records are real: real tables, recipes and a run's own record keeping. Only what a stage
computes is made up, by a crew in this process whose slots end their stages in an order drawn from a seed.
"""

import json
import os
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from harness import plan
from harness.commands import TABLES
from harness.errors import StageError, UsageError
from harness.plan import Plan, Stage
from harness.records import Record, Store
from harness.running import door, preparation, recording, scheduling, stage_folders
from harness.running.preparation import Prepared
from harness.running.progress import Display
from suite.datasets import synthetic

ORDERS = 50
SLOTS = range(1, 17)
PAPERS = {key: preparation.paper_of(key, TABLES) for key in door.papers_with_recipe()}
EVERY_TABLE = [
    (key, table.id) for key, paper in PAPERS.items() for table in paper.tables_and_figures if not isinstance(table, str)
]


class Crew:
    """Slots whose stages end in a random order, some of them together; `work` is what a stage does."""

    def __init__(self, slots: int, seed: str, work):
        self.slots = slots
        self._random, self._work = random.Random(seed), work
        self._busy: dict[int, Stage] = {}
        # Keys of the stages that are done.
        self.ended: list[str] = []

    def start(self, slot: int, stage: Stage) -> None:
        assert 0 <= slot < self.slots
        assert slot not in self._busy
        assert set(stage.inputs.values()) <= set(self.ended), f"{stage.label()} began before its inputs were done"
        self._busy[slot] = stage

    def wait(self) -> list:
        together = self._random.sample(sorted(self._busy), self._random.randint(1, min(3, len(self._busy))))
        ended = []
        for slot in together:
            stage = self._busy.pop(slot)
            failure = self._work(stage)
            if failure is None:
                self.ended.append(stage.key)
            ended.append((slot, failure))
        return ended


class Paper:
    """A paper's runs, one after the other in one folder; what a stage leaves is made once and lies aside between them."""

    def __init__(self, key: str, folder: Path, generated):
        self.key, self.runs = key, folder / "runs"
        self._aside, self._generated = folder / "aside", generated
        self.metrics = sorted({cell.metric for table in PAPERS[key].tables_and_figures for cell in table.cells()})

    def prepare(self, **asked) -> Prepared:
        return preparation.prepare(PAPERS[self.key], "tiny", None, plan.Request(**asked), self.runs)

    def done(self, stage: Stage) -> None:
        """Put what the stage leaves in its place."""
        if not stage.folder(self._aside).exists():
            self._make(stage)
        stage.folder(self.runs).parent.mkdir(parents=True, exist_ok=True)
        os.rename(stage.folder(self._aside), stage.folder(self.runs))

    def clear(self) -> None:
        """Leave an empty folder of runs."""
        for folder in (path for path in self.runs.glob("*/*") if path.parent.name != "records"):
            os.rename(folder, self._aside / folder.relative_to(self.runs))
        shutil.rmtree(self.runs, ignore_errors=True)

    def _make(self, stage: Stage) -> None:
        """What a stage of this kind leaves in its folder, with numbers that follow from its key."""
        folder = stage_folders.begin(stage.folder(self._aside), resumes=False)
        number = int(stage.key, 16)
        right = number % 9
        result = {"counts": {"total": 8, "correct": right}, "scores": dict.fromkeys(self.metrics, 12.5 * right)}
        if stage.kind == "synthetic":
            shutil.copytree(self._generated(stage.config["dataset"]), folder, dirs_exist_ok=True)
            result = {}
        elif stage.kind == "check-data":
            (folder / "videos.json").write_text(json.dumps({"videos": {}}), encoding="utf-8")
            result = {"counts": {"listed": 8, "decoded": 8, "unreadable": 0, "missing": 0}, "facts": {"unreadable": {}}}
        elif stage.kind in ("pretrain", "finetune"):
            result["curves"] = {"train_loss": [number % 7 / 7, number % 5 / 7]}
        elif number % 2:
            (folder / "map.svg").write_text(f"<svg><!-- {stage.key} --></svg>", encoding="utf-8")
            result["pictures"] = ["map.svg"]
        content = {
            "kind": stage.kind,
            "config": stage.config,
            "device_kind": stage.device_kind,
            "gmacs": stage.gmacs,
            "seconds": number % 1000 / 100,
            "created": "2026-01-01T00:00:00Z",
            "commit": "unknown",
            "dirty": False,
            "environment": {"python": "3"},
            "result": result,
        }
        stage_folders.finish(stage.folder(self._aside), content)

    def run(self, one: Prepared, slots: int, seed: str, fails=lambda stage: None) -> "Ended":
        """Run what is not done yet, as a run does, with a crew of `slots`; `fails` gives a stage's failure."""
        store = Store(self.runs / "records")
        written = recording.Written(one, self.runs, store, "the command")
        done = {name for name, stage in one.built.stages.items() if stage_folders.done(stage, self.runs)}
        crew = Crew(slots, seed, lambda stage: fails(stage) or self.done(stage))
        crew.ended += done
        missing = [stage for name, stage in one.built.stages.items() if name not in done]
        try:
            scheduling.work_through(one.built, done, crew, written.finished, Display(missing))
            failure = written.failure()
        except (UsageError, StageError) as error:
            failure = error
        return Ended(crew.ended, written.records(), files(store.folder), failure)


class Ended:
    """What one run came to."""

    def __init__(self, order: list[str], records: list[Record], stored: dict[str, bytes], failure: Exception | None):
        self.order, self.records, self.stored, self.failure = order, records, stored, failure

    def complete(self, built: Plan) -> bool:
        """Whether every stage was done once, and every measurement has its record, in the plan's order."""
        asked = [(one.table, one.row, one.dataset, one.split, one.seed, one.stages) for one in built.measurements]
        there = [(one.table, one.row, one.dataset, one.split, one.seed, one.stages) for one in self.records]
        return self.failure is None and sorted(self.order) == sorted(built.stages) and there == asked

    def paths(self) -> set[str]:
        """Where the records lie in their store."""
        return {name for name in self.stored if name.endswith(".json")}

    def left(self) -> tuple:
        """All that must not depend on the order."""
        return self.records, self.stored, type(self.failure), str(self.failure)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Papers by key; their folders lie in memory where that is possible, since every file is flushed to the disk."""
    memory = Path("/dev/shm")
    top = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else tmp_path_factory.getbasetemp()))

    @cache
    def generated(name: str) -> Path:
        # The smallest size there is: of videos only their names matter here.
        synthetic.generate(name, top / name, {"height": 16, "width": 16, "seed": 0}, lambda done, total: None)
        return top / name

    yield cache(lambda key: Paper(key, top / "papers" / key, generated))
    shutil.rmtree(top)


@pytest.fixture
def paper(papers, key):
    """The paper named `key`, with an empty folder of runs."""
    paper = papers(key)
    yield paper
    paper.clear()


@pytest.mark.parametrize("key", PAPERS)
def test_no_order_moves_a_record_of_a_paper(paper):
    one = paper.prepare()
    first = paper.run(one, 1, "the plan's order")
    assert first.complete(one.built)
    assert first.order == list(one.built.stages)
    orders = set()
    for number in range(ORDERS):
        paper.clear()
        slots = SLOTS[number % len(SLOTS)]
        ended = paper.run(one, slots, f"{paper.key} {number}")
        assert ended.left() == first.left(), f"order {number} with {slots} slots"
        assert sorted(ended.order) == sorted(first.order)
        orders.add(tuple(ended.order))
    # With one slot there is one order.
    assert len(orders) == ORDERS - len(range(0, ORDERS, len(SLOTS))) + 1


@pytest.mark.parametrize(("key", "table"), EVERY_TABLE, ids=[f"{key}-{table}" for key, table in EVERY_TABLE])
def test_every_table_alone_runs_on_an_empty_folder(paper, table):
    refused = ""
    try:
        one = paper.prepare(tables=(table,))
    except UsageError as error:
        refused = str(error)
    if refused:
        assert refused.startswith(f"nothing of what was asked for can be run; {table} ")
        return
    first = paper.run(one, 1, "the plan's order")
    assert first.complete(one.built)
    for slots in SLOTS[1:]:
        paper.clear()
        ended = paper.run(one, slots, f"{table} {slots}")
        assert ended.left() == first.left(), f"{slots} slots"
    # Once more on what is there: no stage runs, and the records stay.
    again = paper.run(one, 16, "nothing to do", fails=lambda stage: pytest.fail(f"{stage.label()} ran again"))
    assert again.left() == first.left()


@pytest.mark.parametrize("key", ["vcop", "srop"])
def test_failures_are_told_and_spare_the_same_in_every_order(paper):
    one = paper.prepare()
    broken = [stage for stage in one.built.stages.values() if stage.kind == "finetune"][::3]
    assert len(broken) > 2

    def fails(stage: Stage) -> StageError | None:
        return StageError(f"{stage.label()}: broken") if stage in broken else None

    first = paper.run(one, 1, "the plan's order", fails)
    assert str(first.failure).startswith(
        f"{broken[0].label()}: broken; stages that failed besides: {len(broken) - 1}; "
    )
    assert 0 < len(first.paths()) < len(one.built.measurements)
    for slots in SLOTS:
        paper.clear()
        assert paper.run(one, slots, f"{paper.key} {slots}", fails).left() == first.left(), f"{slots} slots"


@pytest.mark.parametrize("key", ["vcop"])
def test_a_record_that_cannot_be_made_is_one_line_and_costs_no_other(paper, monkeypatch):
    one = paper.prepare(tables=("table1",))
    whole = paper.run(one, 1, "the plan's order")
    assert whole.complete(one.built)
    spoilt = [one.built.stages[measurement.stage] for measurement in one.built.measurements[1:3]]
    read = stage_folders.read

    def spoil(folder: Path) -> dict:
        content = read(folder)
        if folder in [stage.folder(paper.runs) for stage in spoilt]:
            content["result"]["counts"] = {"total": "many"}
        return content

    monkeypatch.setattr(stage_folders, "read", spoil)
    for slots in SLOTS:
        paper.clear()
        ended = paper.run(one, slots, f"{paper.key} {slots}")
        assert isinstance(ended.failure, StageError)
        assert str(ended.failure) == (
            f"{spoilt[0].label()}: its result makes no record: counts.total: Input should be a valid integer, unable to "
            f"parse string as an integer; delete its folder {spoilt[0].kind}/{spoilt[0].key} and run again; "
            "records that cannot be made besides: 1"
        )
        # Every other stage was run, and every other record is there.
        assert sorted(ended.order) == sorted(one.built.stages)
        assert ended.paths() == whole.paths() - {record.key() for record in whole.records[1:3]}
