"""Golden numbers: what turns them red, what `bless` refuses, and that the committed file is sound."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.commands import running
from harness.errors import UsageError
from harness.judging import golden
from harness.running import door
from suite import regression

ROOT = Path(__file__).parents[3]
SETTINGS = [f"seed {seed}, {switch}={value}" for switch, value in golden.INSTRUCTION_SETS for seed in (0, 1)]


def results() -> dict[str, dict]:
    """What a slice gives: every kind, every type of exact value."""
    return {
        "exact": {
            "counts/ucf101/decoded": 304,
            "clip-starts/17-frames-by-16": [0, 0, 1],
            "lists/ucf101/trainlist01.txt": "455daf0a3958",
            "evaluation/clip-retrieval/top1/r3d": 0,
            "evaluation/clip-retrieval/top5/r3d": 98,
        },
        "near": {
            "first-step-loss/r3d": {"value": 1.7906, "tolerance": 1e-5},
            "float64-loss/r3d/step0": {"value": 1.5517121627641610, "tolerance": 1e-8},
        },
        "trained": {"order-accuracy/r3d": {"value": 86.0, "chance": 100 / 6}},
    }


def measured(low: float = 84.0, high: float = 91.0) -> dict[str, dict[str, float]]:
    steps = len(SETTINGS) - 1
    return {"order-accuracy/r3d": {name: low + (high - low) * i / steps for i, name in enumerate(SETTINGS)}}


@pytest.fixture
def tables(tmp_path):
    """A folder of reference tables with blessed numbers."""
    golden.bless(tmp_path, "vcop", results(), "first numbers", measured())
    return tmp_path


def load(tables: Path) -> golden.Golden:
    return golden.load(tables / "golden" / "vcop.toml")


def red(numbers: golden.Golden, found: dict[str, dict]) -> list[golden.Verdict]:
    return [verdict for verdict in golden.judge(numbers, found) if not verdict.holds]


def test_what_was_blessed_holds_to_the_last_digit(tables):
    numbers = load(tables)
    verdicts = golden.judge(numbers, results())
    assert [verdict.id for verdict in verdicts] == [
        f"{kind}/{name}" for kind in golden.KINDS for name in results()[kind]
    ]
    assert all(verdict.holds for verdict in verdicts)
    assert numbers.exact == results()["exact"]
    assert {name: near.model_dump() for name, near in numbers.near.items()} == results()["near"]
    assert numbers.trained["order-accuracy/r3d"].measured == measured()["order-accuracy/r3d"]


def test_any_digit_changed_in_an_exact_golden_is_red_and_names_its_cell(tables):
    path = tables / "golden" / "vcop.toml"
    text = path.read_text(encoding="utf-8")
    low, high = text.index("[exact]"), text.index("# tolerance")
    digits = [place for place in range(low, high) if text[place].isdigit()]
    assert len(digits) > 20
    for place in digits:
        other = str((int(text[place]) + 1) % 10)
        path.write_text(text[:place] + other + text[place + 1 :], encoding="utf-8")
        if other == "0" and re.search(r"[ \[]$", text[:place]) and text[place + 1].isdigit():
            with pytest.raises(UsageError, match="not valid TOML"):
                load(tables)
            continue
        line = text[text.rfind("\n", 0, place) + 1 : text.index("\n", place)]
        name = re.match(r'"([^"]+)"', line).group(1)
        lines = [verdict.line() for verdict in red(load(tables), results())]
        assert lines
        assert all(line.startswith("FAILS  vcop exact/") for line in lines)
        assert any(f"exact/{name}:" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("counts/ucf101/decoded", 303),
        ("counts/ucf101/decoded", 304.0),
        ("evaluation/clip-retrieval/top1/r3d", False),
        ("clip-starts/17-frames-by-16", [0, 1, 1]),
        ("clip-starts/17-frames-by-16", [0, 0]),
        ("lists/ucf101/trainlist01.txt", "455daf0a3959"),
        ("counts/ucf101/decoded", math.nan),
    ],
)
def test_an_exact_result_that_differs_is_red_alone(tables, name, found):
    changed = results()
    changed["exact"][name] = found
    (verdict,) = red(load(tables), changed)
    assert verdict.id == f"exact/{name}"
    assert f"exact/{name}" in verdict.line()


@given(st.floats(-3, 3), st.sampled_from(["first-step-loss/r3d", "float64-loss/r3d/step0"]))
def test_a_near_result_holds_within_its_relative_tolerance_only(share, name):
    numbers = golden.Golden(paper="vcop", near=results()["near"])
    found = {"exact": {}, "near": results()["near"], "trained": {}}
    value, tolerance = found["near"][name]["value"], found["near"][name]["tolerance"]
    found["near"][name]["value"] = value * (1 + share * tolerance)
    ids = [verdict.id for verdict in red(numbers, found)]
    if abs(abs(share) - 1) > 1e-3:
        assert ids == ([f"near/{name}"] if abs(share) > 1 else [])


def test_a_trained_score_just_below_its_floor_is_red_and_the_floor_itself_holds(tables):
    numbers, found = load(tables), results()
    floor = numbers.trained["order-accuracy/r3d"].floor
    found["trained"]["order-accuracy/r3d"]["value"] = floor
    assert red(numbers, found) == []
    found["trained"]["order-accuracy/r3d"]["value"] = math.nextafter(floor, 0)
    (verdict,) = red(numbers, found)
    assert "trained/order-accuracy/r3d" in verdict.line()


@pytest.mark.parametrize("kind", golden.KINDS)
def test_nan_missing_and_unknown_results_are_red_and_name_their_cell(tables, kind):
    numbers = load(tables)
    for name in results()[kind]:
        found = results()
        if kind != "exact":
            found[kind][name]["value"] = math.nan
            (verdict,) = red(numbers, found)
            assert verdict.id == f"{kind}/{name}"
            assert "nan" in verdict.line()
        value = found[kind].pop(name)
        (verdict,) = red(numbers, found)
        assert verdict.line() == f"FAILS  vcop {kind}/{name}: its result is missing"
        found = results()
        found[kind]["never seen"] = value
        (verdict,) = red(numbers, found)
        assert verdict.line() == f"FAILS  vcop {kind}/never seen: has no golden number: bless it"


@given(st.lists(st.floats(0, 100), min_size=6, max_size=12), st.floats(0, 50))
def test_a_floor_is_below_every_measured_score_and_nearer_to_them_than_to_chance(scores, chance):
    low, spread = min(scores), max(scores) - min(scores)
    found = {"value": scores[0], "chance": chance}
    of = {"score": {f"seed {index}": score for index, score in enumerate(scores)}}
    if spread >= (low - chance) / 2:
        with pytest.raises(UsageError, match="trained/score"):
            golden._trained("score", golden.Golden(paper="vcop"), found, of)
        return
    trained = golden._trained("score", golden.Golden(paper="vcop"), found, of)
    assert trained.floor < low
    assert trained.floor > (low + chance) / 2
    assert low - trained.floor >= spread * (1 - 1e-9)


# ------------------------------------------------------------------------------------------------ bless


def test_bless_adds_a_line_with_the_reason_newest_last(tables):
    changed = results()
    changed["exact"]["counts/ucf101/decoded"] = 305
    del changed["exact"]["clip-starts/17-frames-by-16"]
    lines = golden.bless(tables, "vcop", changed, "  one video\nmore ")
    assert lines == [
        "exact/counts/ucf101/decoded: 304 -> 305",
        "exact/clip-starts/17-frames-by-16: gone, was [0, 0, 1]",
    ]
    first, second = (tables / "CHANGES").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d vcop: first numbers \(exact/counts/ucf101/decoded, .* and 2 more\)", first)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d vcop: one video more "
        r"\(exact/counts/ucf101/decoded, exact/clip-starts/17-frames-by-16\)",
        second,
    )
    assert red(load(tables), changed) == []


def test_bless_keeps_near_numbers_that_hold_and_moves_those_that_do_not(tables):
    changed = results()
    changed["near"]["first-step-loss/r3d"]["value"] *= 1 + 1e-6
    changed["near"]["float64-loss/r3d/step0"]["value"] *= 1 + 1e-6
    lines = golden.bless(tables, "vcop", changed, "another optimiser")
    assert [line.split(":")[0] for line in lines] == ["near/float64-loss/r3d/step0"]
    assert load(tables).near["first-step-loss/r3d"].value == results()["near"]["first-step-loss/r3d"]["value"]
    assert load(tables).near["float64-loss/r3d/step0"].value == changed["near"]["float64-loss/r3d/step0"]["value"]


def refused(tables: Path, found: dict[str, dict], reason: str, scores=None) -> str:
    """The message of a `bless` that must be refused and leave everything as it was."""
    before = {path: path.read_bytes() for path in tables.rglob("*") if path.is_file()}
    with pytest.raises(UsageError) as refusal:
        golden.bless(tables, "vcop", found, reason, scores)
    assert {path: path.read_bytes() for path in tables.rglob("*") if path.is_file()} == before
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_bless_refuses_an_empty_reason(tables, reason):
    changed = results()
    changed["exact"]["counts/ucf101/decoded"] = 305
    assert "--reason" in refused(tables, changed, reason)


def test_bless_refuses_an_unchanged_set(tables):
    assert "nothing to bless" in refused(tables, results(), "no change")
    assert "nothing to bless" in refused(tables, results(), "no change", measured())


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", golden.KINDS)
def test_bless_refuses_what_is_not_finite(tables, kind, broken):
    name = next(iter(results()[kind]))
    changed = results()
    changed[kind][name] = broken if kind == "exact" else changed[kind][name] | {"value": broken}
    assert f"{kind}/{name}" in refused(tables, changed, "broken", measured())
    scores = measured()
    scores["order-accuracy/r3d"][SETTINGS[3]] = broken
    assert SETTINGS[3] in refused(tables, results(), "broken", scores)


def test_a_trained_score_needs_measuring_before_it_is_blessed(tables, tmp_path):
    low = results()
    low["trained"]["order-accuracy/r3d"]["value"] = 40.0
    assert "--measure" in refused(tables, low, "trains worse")
    assert "--measure" in refused(tmp_path / "new", results(), "first numbers")
    assert "--measure" in refused(tables, results() | {"trained": {"new": {"value": 9.0, "chance": 1.0}}}, "new score")
    noisy = refused(tables, results(), "noisy", measured(20, 90))
    assert "trained/order-accuracy/r3d" in noisy
    assert "half of the way to chance" in noisy
    few = {"order-accuracy/r3d": {"seed 0": 80.0, "seed 1": 81.0}}
    assert "at least 6" in refused(tables, results(), "two runs", few)


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("not valid TOML", 'paper = "vcop"\n[exact]\n"a" = 01\n'),
        ("not valid TOML", 'paper = "vcop"\n[exact]\n"a" = 1\n"a" = 2\n'),
        ("paper", "[exact]\n"),
        ("holds the numbers of 'mas'", 'paper = "mas"\n'),
        ("exat", 'paper = "vcop"\n[exat]\n'),
        ("exact: a", 'paper = "vcop"\n[exact]\n"a" = 1.5\n'),
        ("exact: a", 'paper = "vcop"\n[exact]\n"a" = true\n'),
        ("near: a", 'paper = "vcop"\n[near]\n"a" = { value = nan, tolerance = 1e-5 }\n'),
        ("near: a", 'paper = "vcop"\n[near]\n"a" = { value = 1.0, tolerance = 0.5 }\n'),
        ("near: a", 'paper = "vcop"\n[near]\n"a" = { value = 1.0 }\n'),
    ],
)
def test_a_malformed_file_is_one_line_that_names_it(tmp_path, what, text):
    path = tmp_path / "vcop.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        golden.load(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert what in message
    assert "\n" not in message
    assert "bless vcop" in message


def test_an_edited_floor_or_score_is_a_malformed_file(tables):
    path = tables / "golden" / "vcop.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in (("floor = 77.0", "floor = 20.0"), (" = 84.0", " = 94.0")):
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(UsageError, match=r"order-accuracy/r3d: .*floor.* does not follow"):
            golden.load(path)


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(UsageError, match=r"vcop\.toml: no golden numbers; .*bless vcop"):
        golden.load(tmp_path / "vcop.toml")


@pytest.mark.parametrize("paper", golden.papers(ROOT / "reference_tables"))
def test_committed_golden_numbers_are_sound_and_of_the_kinds_of_their_slice(paper):
    assert paper in door.papers_with_recipe()
    numbers = golden.load(ROOT / "reference_tables" / "golden" / f"{paper}.toml")
    assert numbers.exact
    assert numbers.near
    assert bool(numbers.trained) == ("trained" in regression.parts(paper))
    for name, trained in numbers.trained.items():
        settings = "".join(trained.measured)
        assert all(f"{switch}={value}" in settings for switch, value in golden.INSTRUCTION_SETS), name
    changes = (ROOT / "reference_tables" / "CHANGES").read_text(encoding="utf-8").splitlines()
    assert any(f" {paper}: " in line for line in changes)


def test_the_command_refuses_an_empty_reason_before_it_computes(tmp_path):
    command = [sys.executable, "-m", "harness", "bless", "vcop", "--reason", " ", "--runs", str(tmp_path / "runs")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "--reason" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_regression_command_prints_what_fails_and_exits_1(tables, monkeypatch, capsys):
    # The slice itself takes minutes: its numbers are put in here, `tox -e regression` computes them.
    found = results()
    monkeypatch.setattr("harness.commands.TABLES", tables)
    monkeypatch.setattr("harness.running.regression.results", lambda paper, runs: found)
    monkeypatch.setattr(running, "paper_of", lambda key: None)
    assert running.run_regression(runs=tables / "runs") == 0
    assert capsys.readouterr().out.endswith("vcop: 8 golden numbers hold, 0 do not\n")
    del found["exact"]["counts/ucf101/decoded"]
    found["near"]["first-step-loss/r3d"]["value"] = math.nan
    assert running.run_regression("vcop", tables / "runs") == 1
    out = capsys.readouterr().out
    assert "FAILS  vcop exact/counts/ucf101/decoded: its result is missing\n" in out
    assert "FAILS  vcop near/first-step-loss/r3d: nan" in out
    assert out.endswith("vcop: 6 golden numbers hold, 2 do not\n")


def test_a_paper_without_golden_numbers_is_refused_by_name_and_left_out_otherwise(tables, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("harness.running.regression.results", lambda paper, runs: asked.append(paper) or results())
    monkeypatch.setattr("harness.commands.TABLES", tables)
    monkeypatch.setattr(running, "paper_of", lambda key: None)
    assert "mas" in door.papers_with_recipe()
    assert running.run_regression(runs=tables / "runs") == 0
    assert asked == ["vcop"]
    with pytest.raises(UsageError, match=r"mas\.toml: no golden numbers; write them with .*bless mas"):
        running.run_regression("mas", tables / "runs")
    assert asked == ["vcop"]


def test_no_golden_numbers_at_all_are_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.commands.TABLES", tmp_path)
    with pytest.raises(UsageError, match="no golden numbers"):
        running.run_regression(runs=tmp_path / "runs")
