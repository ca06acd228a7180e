"""What a pretext task is: the contract, what is refused by a line, and that every task of the recipes keeps it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError

from suite import elsewhere, recipe, settings, tasks
from suite.errors import InputError

RECORDS = Path(__file__).parents[2] / "reports" / "records"
TASKS = sorted(
    {one.pretext for paper in recipe.papers() for one in recipe.load(paper, "paper").settings.pretraining.values()}
)
GOOD = """
from suite.settings import Pretraining, Share

NAME, VERSION, SCORES = "pace", 1, {}

class Settings(Pretraining):
    share: Share

def eligible(videos, frames, pretraining, video): ...
def network(backbone, pretraining, video): ...
def samples(data, videos, pretraining, video, *, seed, training): ...
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of papers elsewhere; what is imported from it is forgotten again."""
    monkeypatch.setenv(elsewhere.VARIABLE, str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def of_vcop() -> dict:
    """VCOP's pretraining as its recipe gives it."""
    return recipe.load("vcop", "tiny").settings.pretraining["vcop"].model_dump(mode="json", exclude_unset=True)


def pretraining(pretext: str, **more) -> dict:
    """A pretraining of VCOP's recipe under another task."""
    given = of_vcop()
    kept = ("dataset", "split", "optimisation")
    return {key: given[key] for key in kept} | {"pretext": pretext} | more


def scale(**pretrainings) -> settings.Scale:
    """VCOP's tiny settings with other pretrainings."""
    content = recipe.load("vcop", "tiny").settings.model_dump(mode="json", exclude_unset=True)
    return settings.Scale.model_validate(content | {"pretraining": pretrainings})


# ------------------------------------------------------------------------------------------------ the tasks of the recipes


@pytest.mark.parametrize("path", TASKS)
def test_every_task_of_a_recipe_keeps_the_contract(path):
    task = tasks.find(path)
    assert tasks.faults(task) == []
    assert task.__name__ == f"{tasks.HOME}.{path}"
    assert issubclass(task.Settings, settings.Pretraining)
    assert task.SCORES
    for name in ("NAME", "VERSION", "SCORES", *tasks.CALLS):
        assert hasattr(task, name) or name in tasks.OPTIONAL


def test_the_tasks_of_the_recipes_are_known_without_torch():
    # One process for all: whatever one of them loads is there.
    assert tasks.heavy(TASKS[0]) == []
    assert {name for path in TASKS[1:] for name in tasks.heavy(path)} == set()


def test_a_network_that_a_task_needs_has_a_place_in_it():
    found = 0
    for paper in recipe.papers():
        for one in recipe.load(paper, "paper").settings.pretraining.values():
            if others := one.networks().keys() - {"pretrain"}:
                found += 1
                assert hasattr(tasks.find(one.pretext), "attach")
                # Stages know a pretraining by what it is: names of others are left out by the roles' names.
                assert others <= type(one).model_fields.keys()
    assert found > 1


def test_the_recipes_of_committed_records_are_what_they_were():
    carried = {}
    for path in RECORDS.rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("checkpoint") is None:
            carried.setdefault((record["paper"], record["scale"]), set()).add(record["recipe_hash"])
    assert carried
    assert {(paper, scale): {recipe.load(paper, scale).hash()} for paper, scale in carried} == carried


@pytest.mark.parametrize(
    ("paper", "name", "clips", "passes"),
    [
        # The clips of a tuple; every clip of a video; a second clip without gradients; a view, whose extractor has some.
        ("vcop", "vcop", 3, 300),
        ("vcop-curriculum", "16-8-5", 5, 300),
        ("vcop-curriculum", "16-8-3-sample", 3, 100 + 5 / 3),
        ("mas", "joint", 11.6, 20),
        ("srop", "full", 4 / 3, 300),
        ("srop", "order", 1, 300),
        ("srop", "views", 4 / 3, 30),
    ],
)
def test_what_planning_is_told(paper, name, clips, passes):
    chosen = recipe.load(paper, "paper").settings.pretraining[name]
    assert chosen.clips_of_sample(11.6) == pytest.approx(clips)
    assert chosen.passes() == pytest.approx(passes)


def test_networks_are_counted_at_the_papers_size_at_every_scale():
    views = [recipe.load("srop", scale).settings.pretraining["views"] for scale in recipe.SCALES]
    assert {(one.counted().channels, one.counted().latent) for one in views} == {(32, 16)}
    assert {(one.channels, one.latent) for one in views} != {(32, 16)}


# ------------------------------------------------------------------------------------------------ tasks from elsewhere


def test_a_task_from_elsewhere_has_settings_of_its_own(place):
    (place / "pace.py").write_text(GOOD)
    chosen = scale(own=pretraining("pace", share=0.25))
    assert chosen.pretraining["own"].share == 0.25
    assert chosen.pretraining["own"].networks() == {}
    # Whole, and as it was given: what a record keeps and what a hash is made of.
    assert chosen.model_dump(mode="json")["pretraining"]["own"]["share"] == 0.25
    given = chosen.model_dump(mode="json", exclude_unset=True)["pretraining"]["own"]
    assert given == pretraining("pace", share=0.25)
    with pytest.raises(ValidationError, match="share"):
        scale(own=pretraining("pace", share=1.5))
    with pytest.raises(ValidationError, match="tuple_length"):
        scale(own=pretraining("pace", share=0.25, tuple_length=3))


def test_a_hash_knows_a_task_by_its_name(place):
    (place / "moved.py").write_text(
        "from suite.papers.vcop.clip_order import *\nfrom suite.papers.vcop.clip_order import NAME\n"
    )
    found = recipe.load("vcop", "tiny")
    content = found.settings.model_dump(mode="json", exclude_unset=True)
    content["pretraining"]["vcop"]["pretext"] = "moved"
    moved = found.model_copy(update={"settings": settings.Scale.model_validate(content)})
    assert moved.hash() == found.hash()
    (place / "renamed.py").write_text("from suite.papers.vcop.clip_order import *\nNAME = 'another'\n")
    content["pretraining"]["vcop"]["pretext"] = "renamed"
    renamed = found.model_copy(update={"settings": settings.Scale.model_validate(content)})
    assert renamed.hash() != found.hash()


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ('"pace", 1', "7, 1", "it has no NAME, a text"),
        ('"pace", 1', '"pace", "1"', "it has no VERSION, a whole number"),
        ("SCORES =", "NONE =", "it has no SCORES"),
        ("1, {}", '1, {"pace-accuracy": print}', "it has no SCORES"),
        ("def network", "def build", "it has no function network"),
        ("(backbone, pretraining, video)", "(backbone)", "network cannot be called with 3 values (too many positional"),
        (", seed, training", ", seed", "samples cannot be called with 4 values and seed, training by name"),
        ("def eligible", "def attach(network): ...\ndef eligible", "attach cannot be called with 3 values"),
        ("class Settings(Pretraining)", "class Other(Pretraining)", "it has no Settings, a class"),
        ("class Settings(Pretraining)", "class Settings(dict)", "Settings is no suite.settings.Pretraining"),
        ("def eligible", "import nothing_of_that_name\ndef eligible", "cannot be imported (ModuleNotFoundError"),
    ],
)
def test_what_is_no_task_is_one_line_of_the_recipe(place, line, instead, words):
    assert line in GOOD
    (place / "pace.py").write_text(GOOD.replace(line, instead, 1))
    with pytest.raises(ValidationError) as caught:
        scale(own=pretraining("pace", share=0.25))
    errors = caught.value.errors()
    assert [error["loc"] for error in errors] == [("pretraining", "own")]
    assert words in errors[0]["msg"]


HELPED = GOOD.replace(
    "    share: Share\n",
    """    share: Share
    helper: str | None = None

    def networks(self):
        return super().networks() | ({} if self.helper is None else {"ROLE": self.helper})
""",
)
ATTACH = "\ndef attach(network, role, state): ...\n"
RESUME = "\ndef resume(network, samples, pretraining, *, weights, folder, device, workers, progress): ...\n"


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        (HELPED.replace("ROLE", "helper") + ATTACH, {"helper": "other"}, None),
        (HELPED.replace("ROLE", "helper"), {"helper": "other"}, "own needs a network as 'helper'; pace takes it by"),
        (HELPED.replace("ROLE", "frames:a") + ATTACH, {"helper": "other"}, "own needs a network as 'frames:a'"),
        (
            HELPED.replace("ROLE", "helper") + ATTACH,
            {"helper": "none"},
            "own needs the pretraining 'none', which is not",
        ),
        (HELPED.replace("ROLE", "helper") + ATTACH, {"helper": "own"}, "own starts from itself"),
        (GOOD + RESUME, {"start": "other"}, None),
        (GOOD + RESUME, {}, "own: pace goes on from another pretraining; name it by start"),
    ],
)
def test_networks_that_a_task_needs_are_there_and_can_be_taken(place, text, more, words):
    (place / "pace.py").write_text(text)
    both = {"own": pretraining("pace", share=0.25, **more), "other": of_vcop()}
    if words is None:
        assert set(scale(**both).pretraining) == {"own", "other"}
        return
    with pytest.raises(ValidationError) as caught:
        scale(**both)
    assert f"pretraining.{words}" in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "path", ["vcop.clip_ordr", "nowhere", "os.path", "1st", "a b", "", "vcop..clip_order", "../vcop"]
)
def test_a_name_of_no_task_is_refused(path):
    with pytest.raises(ValidationError) as caught:
        scale(own=pretraining(path, share=0.25))
    assert caught.value.errors()[0]["loc"][:2] == ("pretraining", "own")


def test_a_task_that_needs_torch_at_once_is_found_out(place):
    (place / "pace.py").write_text(f"import torch\n{GOOD}")
    assert "torch" in tasks.heavy("pace")
    (place / "light.py").write_text(f"{GOOD}\nprint('I say something')\n")
    assert tasks.heavy("light") == []
    with pytest.raises(InputError, match=r"neither in suite\.papers nor elsewhere"):
        tasks.heavy("absent_one")
    (place / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(InputError, match=r"leaving: cannot be imported.*SystemExit: 0"):
        tasks.heavy("leaving")
    for code in (0, 3):
        # A name of its own: of two files of one size and second Python takes the first one's bytecode for both.
        (place / f"vanishing{code}.py").write_text(f"import os\nos._exit({code})\n")
        with pytest.raises(
            InputError, match=f"vanishing{code}: cannot be imported: its process ends with {code} and says"
        ):
            tasks.heavy(f"vanishing{code}")


LOADS = """
import sys
from suite import tasks
from suite.errors import InputError
{before}
for _ in range(2):
    try:
        print(tasks.find("pace").NAME)
    except InputError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", "pace: its import loads torch; import them within functions, or in modules beside it"),
        # Nobody waits for what is there already.
        ("import torch", "pace"),
    ],
)
def test_a_task_whose_import_loads_torch_is_refused_wherever_it_is_read(place, before, said):
    (place / "pace.py").write_text(f"import torch\n{GOOD}")
    done = subprocess.run(
        [sys.executable, "-c", LOADS.format(before=before)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [said, said]


FAILING = """
    def {method}(self, *values):
        {body}
"""


@pytest.mark.parametrize("method", ["fault", "networks"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('what')", "fails with KeyError: 'what'; mend it"),
        ("raise SystemExit(0)", "fails with SystemExit: 0; mend it"),
        ("return 7", "gives a int, not a "),
    ],
)
def test_settings_that_fail_are_one_line_of_the_recipe(place, method, body, words):
    text = GOOD.replace("    share: Share\n", "    share: Share\n" + FAILING.format(method=method, body=body))
    (place / "pace.py").write_text(text)
    with pytest.raises(ValidationError) as caught:
        scale(own=pretraining("pace", share=0.25))
    assert f"pretraining.own: pace: {method}() of its Settings {words}" in caught.value.errors()[0]["msg"]


def test_a_validator_that_fails_is_one_line_of_the_recipe(place):
    check = "    @field_validator('share')\n    def _share(cls, value):\n        return {}[value]\n"
    text = GOOD.replace("    share: Share\n", f"    share: Share\n\n{check}")
    (place / "pace.py").write_text(f"from pydantic import field_validator\n{text}")
    with pytest.raises(ValidationError, match=r"pretext: pace\.Settings fails with KeyError: 0\.25"):
        scale(own=pretraining("pace", share=0.25))


def test_what_settings_say_is_of_its_kind():
    chosen = recipe.load("vcop", "tiny").settings.pretraining["vcop"]
    assert tasks.told(chosen, "clips_of_sample", float, 11.6) == 3
    assert tasks.told(chosen, "networks", dict) == {}
    with pytest.raises(
        InputError, match=r"vcop\.clip_order: passes\(\) of its Settings gives a int, not a dict; mend it"
    ):
        tasks.told(chosen, "passes", dict)
    with pytest.raises(InputError, match=r"vcop\.clip_order: clips_of_sample\(\) of its Settings fails with TypeError"):
        tasks.told(chosen, "clips_of_sample", float)


def test_a_task_of_less_is_none():
    assert len(tasks.faults(ModuleType("empty"))) == 4 + 3
    assert tasks.faults(os) == tasks.faults(ModuleType("empty"))
