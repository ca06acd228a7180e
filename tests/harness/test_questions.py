"""Questions about videos from stage to verdict: what the stages count is what records are judged by, and pages show."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness import tables
from harness.judging.compare import judge
from harness.records import Outcomes, Record
from harness.reporting import pages, terminal
from harness.reporting.sections import sections
from harness.running import recording
from suite import recipe, stages
from suite.datasets import activitynet_qa
from suite.datasets.description import describe
from suite.datasets.synthetic import drawing, questions
from suite.errors import InputError

TYPES = activitynet_qa.TYPES
PAPER = tables.load_paper(Path(__file__).parents[2] / "reference_tables" / "vcop-curriculum.toml")
RECIPE = recipe.load("vcop-curriculum", "tiny").settings.model_dump(mode="json")
# Videos of each part that are there.
VIDEOS = {"train": 6, "val": 2, "test": 4}


class World:
    """A data root with few generated videos, features of them, and the stages about questions."""

    def __init__(self, folder: Path):
        self.folder, self.roots, self.runs = folder, {"activitynet-qa": folder / "data"}, 0
        root = self.roots["activitynet-qa"]
        plan = questions.plan(describe("activitynet-qa"), root, drawing.Settings())
        drawn = {scene.path.stem.removeprefix("v_"): scene for scene in plan.scenes}
        plan.write_lists()
        self.videos = {}
        for part, asked in activitynet_qa.questions(root).items():
            self.videos[part] = list(dict.fromkeys(question.video for question in asked))[: VIDEOS[part]]
            for name in self.videos[part]:
                drawn[name].path.parent.mkdir(parents=True, exist_ok=True)
                drawing.encode(drawn[name].path, drawn[name].draw())
            self.keep(part, lambda question, names=self.videos[part]: question.video in names)
        settings = RECIPE["question_answering"]
        settings = settings | {"hidden": 8, "optimisation": settings["optimisation"] | {"epochs": 3, "batch": 16}}
        video = {key: RECIPE["video"][key] for key in ("clip_length", "resize", "crop", "pixels")}
        self.config = {"dataset": "activitynet-qa", "seed": 0, "video": video, "question_answering": settings}

    def path(self, video: str) -> Path:
        (path,) = (self.roots["activitynet-qa"] / "activitynet-qa/videos").rglob(f"*{video}.avi")
        return path

    def keep(self, part: str, wanted) -> None:
        """Keep the questions of a part that are wanted, and their answers."""
        root = self.roots["activitynet-qa"]
        kept = {question.id for question in activitynet_qa.questions(root)[part] if wanted(question)}
        for kind in "qa":
            path = root / "activitynet-qa" / f"{part}_{kind}.json"
            entries = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps([e for e in entries if e["question_id"] in kept]), encoding="utf-8")

    def run(self, kind: str, inputs: dict, *, folder: Path | None = None, **runtime) -> tuple[Path, dict]:
        if folder is None:
            self.runs += 1
            folder = self.folder / f"{kind}-{self.runs}"
        folder.mkdir(exist_ok=True)
        job = stages.Job(kind, self.config, inputs, self.roots, folder, stages.Runtime(**runtime))
        result = stages.run(job)
        (folder / "result.json").write_text(json.dumps({"result": result}, allow_nan=False), encoding="utf-8")
        return folder, result

    def inputs(self) -> dict[str, Path]:
        """The check of the videos, features drawn by chance, and the baseline."""
        checked, _ = self.run("check-data", {})
        found = {"check-data:activitynet-qa": checked, "features": self.folder / f"features-{self.runs}"}
        found["features"].mkdir()
        readable = json.loads((checked / "videos.json").read_text(encoding="utf-8"))["videos"]
        draw = np.random.default_rng(0)
        for part, of in {"train": ("train", "val"), "test": ("test",)}.items():
            names = [name for one in of for name in self.videos[one] if name in readable]
            (found["features"] / f"{part}.json").write_text(json.dumps({"names": names}), encoding="utf-8")
            np.save(found["features"] / f"{part}.npy", draw.standard_normal((len(names), 3, 5)).astype(np.float32))
        found["baseline"], _ = self.run("question-baseline", found)
        return found


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def record(result: dict, row="r3d_ssvcop", seed=0, **changes) -> Record:
    """The record of a result of the stage, as a run on the complete official lists would write it."""
    fields = {
        "paper": PAPER.key,
        "table": "table6",
        "row": row,
        "columns": [kind for kind in (*TYPES, "all") if kind in result["scores"]],
        "dataset": "activitynet-qa",
        "split": 1,
        "seed": seed,
        "scale": "paper",
        "scope": "full",
        "fingerprint": "full-0123456789ab",
        "lists": {},
        "protocol": "video-qa",
        "protocol_version": 1,
        "recipe_hash": "00c0ffee",
        "device_kind": "cuda",
        "scores": result["scores"],
        "counts": result["counts"],
        "outcomes": Outcomes(**result["outcomes"]),
        "settings": {},
        "environment": {},
        "commit": "c0ffee",
        "dirty": False,
        "created": "2026-01-01T00:00:00Z",
        "seconds": 1.0,
        "command": "python -m harness run vcop-curriculum",
    }
    return Record(**fields | changes)


def verdicts(*records: Record) -> dict[str, tuple[str, str]]:
    judged = judge(PAPER, records, scale="paper")
    return {one.column: (one.verdict, one.reason) for one in judged if (one.table, one.row) == ("table6", "r3d_ssvcop")}


def test_what_the_stage_counts_stands_before_the_judge(world):
    _, result = world.run("video-qa", world.inputs())
    assert result["counts"]["listed"] == result["counts"]["decoded"] == 9 * VIDEOS["test"]
    found = verdicts(record(result))
    assert len(found) == 10
    assert {verdict for verdict, _ in found.values()} <= {"REPRODUCED", "NEAR", "BELOW", "ABOVE"}, found
    # One answer more than there were, of one type.
    counts = result["counts"] | {"correct_motion": result["counts"]["correct_motion"] + 1}
    found = verdicts(record(result, counts=counts))
    assert [column for column, (verdict, _) in found.items() if verdict == "INVALID"] == ["motion"]
    assert found["motion"][1].endswith(f"of {VIDEOS['test']} are right")
    # Of another number than were asked of that type.
    counts = result["counts"] | {"asked_free_yn": VIDEOS["test"] + 3}
    wrong = result["scores"]["free_yn"] > 0
    assert (verdicts(record(result, counts=counts))["free_yn"][0] == "INVALID") == wrong


def test_unreadable_videos_take_their_questions_with_them(world):
    world.path(world.videos["test"][1]).write_bytes(b"no video")
    _, result = world.run("video-qa", world.inputs())
    counts = result["counts"] | {"unreadable": 1}
    assert (counts["listed"], counts["decoded"], counts["total"]) == (36, 27, 27)
    assert counts["test_without_video"] == 9
    found = verdicts(record(result, counts=counts))
    assert set(found.values()) == {("NOT COMPARABLE", "split 1: 9 of 36 listed questions are about unreadable videos")}
    # Lost without a known reason: nobody knows what was scored.
    assert {verdict for verdict, _ in verdicts(record(result)).values()} == {"INVALID"}


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_part_without_a_readable_video_is_refused(world, part):
    for name in world.videos[part]:
        world.path(name).write_bytes(b"no video")
    with pytest.raises(InputError, match=rf"not one question of {part}_q\.json is about a video that can be read; get"):
        world.inputs()


def test_a_type_that_nobody_asks_about_has_no_number(world):
    for part in activitynet_qa.PARTS:
        world.keep(part, lambda question: TYPES[question.type] != "temp_rel")
    _, result = world.run("video-qa", world.inputs())
    assert "temp_rel" not in result["scores"]
    found = verdicts(record(result))
    assert found["temp_rel"][0] == "NOT RUN"
    assert "INVALID" not in {verdict for verdict, _ in found.values()}
    text = pages.page(sections(PAPER, [record(result)]), [[]], lambda record, name: None)
    assert [row[3] for row in of_types(text)] == ["0", "–", "–", "–", "–"]


def test_a_type_that_the_data_do_not_have_is_not_asked_for():
    columns = tuple(column.id for column in PAPER.table("table6").columns)
    asked = SimpleNamespace(table="table6", row="r3d_ssvcop", columns=columns)
    assert recording._columns(PAPER, asked, dict.fromkeys((*TYPES, "all"), 50.0)) == list(columns)
    assert recording._columns(PAPER, asked, {"motion": 25.0, "free_yn": 50.0, "all": 37.5}) == [
        "motion",
        "free_yn",
        "all",
    ]


def of_types(text: str) -> list[list[str]]:
    """The rows of the first half of the table by type: name, then Motion, Spat. Rel., Temp. Rel., Y/N, Color."""
    table = text.partition("| Right answers ")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()[2:]]


def test_a_page_shows_right_answers_by_type_beside_what_knows_no_video(world):
    inputs = world.inputs()
    made = []
    for seed in (0, 1):
        world.config = world.config | {"seed": seed}
        made.append(record(world.run("video-qa", inputs)[1], seed=seed))
    text = pages.page(sections(PAPER, made), [[]], lambda record, name: None)
    rows = of_types(text)
    names = ["Questions asked", "R3D w/ SS-VCOP", "Question alone", "Most frequent answer"]
    assert [row[0] for row in rows] == [*names, "Most frequent answer of the type"]
    assert rows[0][1:] == ["4"] * 5
    for place, kind in enumerate(TYPES[:5], 1):
        right = [one.counts[f"correct_{kind}"] for one in made]
        assert rows[1][place] == f"{100 * sum(right) / 8:.1f} ({sum(right) / 2:.1f})"
        alone = made[0].scores[f"question_only_{kind}"]
        assert rows[2][place] == f"{alone:.1f} ({alone * 4 / 100:.1f})"
    # By type under the table, and not once more among all other counts.
    assert "asked_" not in text
    assert "Gain over random initialisation" not in text
    # Of what is all questions together there is no such table.
    video = [one.model_copy(update={"table": "qa_baselines", "columns": ["video"]}) for one in made]
    assert "Right answers by type" not in pages.page(sections(PAPER, video), [[]], lambda record, name: None)


def test_one_result_in_two_tables_shows_its_attention_once(world):
    _, result = world.run("video-qa", world.inputs())
    made = []
    for table, column in (("table6", "motion"), ("qa_baselines", "video")):
        for row in ("r3d_pretrained", "r3d_ssvcop"):
            for seed in (0, 1):
                own = {"pictures": [f"{table}-{row}-{seed}__attention.png"], "stages": {"video-qa": f"{row}{seed}"}}
                made.append(record(result, row, seed, table=table, columns=[column], **own))
    text = pages.page(sections(PAPER, made), [[]], lambda record, name: name)
    shown = text.partition("### Attention over the clips of a video")[2].partition("\n### ")[0]
    assert [line.partition("](")[2] for line in shown.splitlines() if line.startswith("![")] == [
        "table6-r3d_pretrained-0__attention.png)",
        "table6-r3d_ssvcop-0__attention.png)",
    ]


def test_the_share_of_words_with_a_vector_is_shown_wherever_results_are(world, tmp_path):
    inputs = world.inputs()
    learnt = record(world.run("video-qa", inputs)[1])
    vectors = tmp_path / "glove.txt"
    vectors.write_text("the 0 0 0 0 0 0 0 1\nobject 0 0 0 0 0 0 1 0\nzebra 1 1 1 1 1 1 1 1\n", encoding="utf-8")
    world.roots["glove"] = vectors
    given = record(world.run("video-qa", inputs)[1])
    texts = [q.text for q in activitynet_qa.questions(world.roots["activitynet-qa"])["train"]]
    spoken = [word for text in texts for word in text.split()]
    met = sum(word in ("the", "object") for word in spoken)
    said = (
        f"has vectors for 2 of the {len(set(spoken))} words of the training questions "
        f"({200 / len(set(spoken)):.1f} %), which make up {100 * met / len(spoken):.1f} % of their text."
    )
    none = f"The {len(set(spoken))} words of the training questions are learnt from random vectors"
    for one, expected, other in ((given, said, none), (learnt, none, said)):
        page = pages.page(sections(PAPER, [one]), [[]], lambda record, name: None)
        evaluated = terminal.of_evaluation([one], [*TYPES, "all"])
        for text in (page, evaluated):
            assert text.count(expected) == 1
            assert other not in text
        assert ("--glove FILE" in page) == (one is given)


def test_an_evaluation_is_printed_beside_what_knows_no_video(world):
    made = record(world.run("video-qa", world.inputs())[1])
    shown = terminal.of_evaluation([made], ["motion", "all", "nothing"]).splitlines()
    values = {line.split("  ")[0]: line.split()[-5:-2] for line in shown[2:6]}
    assert values["activitynet-qa"] == [f"{made.scores[name]:.2f}" for name in ("motion", "all")] + ["–"]
    assert values["question alone"] == [f"{made.scores[f'question_only_{name}']:.2f}" for name in ("motion", "all")] + [
        "–"
    ]
    assert len(values) == 4
    # Other protocols have nothing beside them.
    other = made.model_copy(update={"scores": {"all": 50.0}, "counts": {"total": 4}})
    assert len(terminal.of_evaluation([other], ["all"]).splitlines()) == 3


@pytest.mark.parametrize("kind", ["question-baseline", "video-qa"])
def test_a_stage_that_was_stopped_ends_with_the_bits_of_one_that_was_not(world, kind):
    class Stopped(Exception):
        pass

    inputs, seen = world.inputs(), []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 7:
            raise Stopped

    whole, result = world.run(kind, inputs)
    broken = world.folder / "broken"
    with pytest.raises(Stopped):
        world.run(kind, inputs, folder=broken, progress=stop, checkpoint_seconds=0.0)
    assert (broken / "training.pt").exists()
    again: list[int] = []
    _, resumed = world.run(kind, inputs, folder=broken, progress=lambda done, total: again.append(done))
    # The step that was under way when it stopped is made once more, those before it are not.
    assert again[0] == 7
    assert resumed == result
    for path in whole.iterdir():
        assert (broken / path.name).read_bytes() == path.read_bytes(), path.name
    assert math.isfinite(result["scores"]["question_only_all"])
