"""Recipes: every setting has bounds, what is out of them is refused by file, key and bound, and hashes stay."""

import copy
import math
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from suite import recipe, settings, tasks
from suite.errors import InputError
from suite.video import flow
from suite.video.inputs import NetworkInput, Pixels

GOLDEN = Path(__file__).parents[2] / "reference_tables" / "golden"
RECIPES = [(paper, scale) for paper in recipe.papers() for scale in recipe.SCALES]
# What no number of a recipe can be.
NO_NUMBERS = ["8", "", [], {}, math.nan, math.inf, -math.inf, -1e300, 1e300, -(10**30), 10**30, 10**5000]


def nodes(schema: dict, node: dict, where: str = ""):
    """Every part of a JSON schema that says what one value can be, with the path to it."""
    if "$ref" in node:
        yield from nodes(schema, schema["$defs"][node["$ref"].rpartition("/")[2]], where)
        return
    yield where, node
    for name, child in (node.get("properties", {}) | node.get("patternProperties", {})).items():
        yield from nodes(schema, child, f"{where}.{name}")
    for key in ("anyOf", "oneOf", "prefixItems"):
        for child in node.get(key, ()):
            yield from nodes(schema, child, where)
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(key), dict):
            yield from nodes(schema, node[key], f"{where}[]")


TASKS = sorted(
    {one.pretext for paper in recipe.papers() for one in recipe.load(paper, "paper").settings.pretraining.values()}
)
SCHEMAS = [recipe.Recipe.model_json_schema(), *(tasks.find(task).Settings.model_json_schema() for task in TASKS)]
NODES = [node for schema in SCHEMAS for node in nodes(schema, schema)]


def test_every_number_of_the_schema_has_bounds():
    numbers = [
        (where, node) for where, node in NODES if node.get("type") in ("integer", "number") and "enum" not in node
    ]
    assert len(numbers) > 130
    for where, node in numbers:
        assert {"minimum", "exclusiveMinimum"} & set(node), f"{where} has no lower bound"
        assert {"maximum", "exclusiveMaximum"} & set(node), f"{where} has no upper bound"


def test_every_text_of_the_schema_is_one_of_a_known_set_or_of_a_form():
    texts = [(where, node) for where, node in NODES if node.get("type") == "string"]
    assert len(texts) > 40
    for where, node in texts:
        assert {"enum", "const", "pattern", "minLength"} & set(node), f"{where} can be anything"


def numbers_of(value, place=()):
    """Paths to every number and switch of resolved settings."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from numbers_of(child, (*place, key))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from numbers_of(child, (*place, index))
    elif isinstance(value, int | float):
        yield place


def value_at(content: dict, place: tuple):
    for part in place:
        content = content[part]
    return content


def changed(content: dict, place: tuple, value) -> dict:
    made = copy.deepcopy(content)
    value_at(made, place[:-1])[place[-1]] = value
    return made


@pytest.mark.parametrize("paper", recipe.papers())
def test_no_number_of_a_recipe_can_be_something_else(paper):
    resolved = recipe.load(paper, "paper").settings.model_dump(exclude_unset=True, mode="json")
    settings.Scale.model_validate(resolved)
    places = list(numbers_of(resolved))
    assert len(places) > 30
    for place in places:
        switch = isinstance(value_at(resolved, place), bool)
        for value in [*NO_NUMBERS, 1 if switch else True]:
            with pytest.raises(ValidationError):
                settings.Scale.model_validate(changed(resolved, place, value))


@pytest.mark.parametrize(("paper", "scale"), RECIPES)
def test_the_identity_of_recipes_stays(paper, scale):
    golden = tomllib.loads((GOLDEN / f"{paper}.toml").read_text(encoding="utf-8"))
    assert recipe.load(paper, scale).hash() in str(golden)


def written(folder: Path, paper: str, table: str, line: str) -> Path:
    """A copy of a recipe with one key of a table said otherwise, or a table added."""
    text = (recipe.FOLDER / paper.replace("-", "_") / "recipe.toml").read_text(encoding="utf-8")
    copy = folder / paper.replace("-", "_") / "recipe.toml"
    copy.parent.mkdir()
    head, found, body = text.partition(f"[{table}]\n")
    if not found:
        head, body = f"[{table}]\n{line}\n{text}", ""
        # A file's own keys stand before its tables.
        key = re.search(r"^key = .*\n", text, re.M)[0]
        copy.write_text(key + head.replace(key, ""), encoding="utf-8")
        return folder
    own, cut, rest = body.partition("\n[")
    name = line.partition(" = ")[0]
    own = re.sub(rf"^{re.escape(name)} = .*\n", "", own, flags=re.M)
    copy.write_text(f"{head}{found}{line}\n{own}{cut}{rest}", encoding="utf-8")
    return folder


CANNOT_WORK = [
    # paper, table, line, words of the message
    ("vcop", "paper.video", "crop = 200", "settings.video: crop 200 is larger than frames of 128x171 (resize)"),
    ("vcop", "paper.video", "crop = -1", "settings.video.crop = -1: input should be greater than or equal to 8"),
    ("vcop", "paper.video", "resize = [-128, 171]", "settings.video.resize.0 = -128"),
    ("vcop", "paper.video", "resize = [128]", "settings.video.resize"),
    ("vcop", "paper.video", 'clip_length = "16"', "settings.video.clip_length = '16': input should be a valid integer"),
    ("vcop", "paper.video", "clip_length = 10000000", "less than or equal to 1000"),
    ("vcop", "paper.video", "store = 1", "settings.video.store = 1: input should be a valid boolean"),
    ("vcop", "paper.video", 'pixels = "bgr"', "settings.video.pixels"),
    ("vcop", "paper.finetuning.optimisation", 'batch = "8"', "settings.finetuning.optimisation.batch = '8'"),
    ("vcop", "paper.finetuning.optimisation", "batch = 8.5", "settings.finetuning.optimisation.batch = 8.5"),
    ("vcop", "paper.finetuning.optimisation", "batch = true", "settings.finetuning.optimisation.batch = True"),
    (
        "vcop",
        "paper.finetuning.optimisation",
        "learning_rate = inf",
        "settings.finetuning.optimisation.learning_rate = inf",
    ),
    (
        "vcop",
        "paper.finetuning.optimisation",
        "learning_rate = nan",
        "settings.finetuning.optimisation.learning_rate = nan",
    ),
    ("vcop", "paper.finetuning.optimisation", "weight_decay = -1e-3", "settings.finetuning.optimisation.weight_decay"),
    ("vcop", "paper.finetuning.optimisation", "epochs = 0", "greater than or equal to 1"),
    ("vcop", "paper.finetuning.optimisation", "epochs = 1000000000", "less than or equal to 100000"),
    ("vcop", "paper.finetuning.optimisation", f"epochs = {'9' * 5000}", "vcop/recipe.toml: not valid TOML"),
    ("vcop", "paper.compute", "threads = -1", "settings.compute.threads = -1"),
    ("vcop", "paper.compute", "threads = 100000", "less than or equal to 256"),
    ("vcop", "paper.retrieval", "top = [0]", "settings.retrieval.top.0 = 0"),
    ("vcop", "paper.retrieval", "top = []", "settings.retrieval.top: tuple should have at least 1 item"),
    ("vcop", "paper.retrieval", "top = [1, 5, 5]", "names one twice"),
    ("vcop", "paper.retrieval", "clips = 0", "settings.retrieval.clips = 0"),
    ("vcop", "paper.holdout.ucf101", "videos = 9537", "none is left to learn from"),
    ("vcop", "paper.holdout.ucf101", "of = 99999", "holdout.ucf101.of = 99999: the longest training list has 9624"),
    ("vcop", "paper.holdout.ucf102", "videos = 1", "ucf102"),
    ("vcop", "paper.synthetic", "height = 0", "settings.synthetic.height = 0"),
    ("vcop", "paper.pretraining.vcop", 'dataset = "ucf102"', "settings.pretraining.vcop.dataset = 'ucf102'"),
    ("vcop", "paper.pretraining.vcop", "split = 4", "split 4 of ucf101 has no training videos; it has split 1, 2, 3"),
    ("vcop", "paper.pretraining.vcop", "split = 0", "settings.pretraining.vcop.split = 0"),
    (
        "vcop",
        "paper.pretraining.vcop",
        'dataset = "ucf102"',
        "unknown dataset 'ucf102'; choose one of activitynet-qa, aslan,",
    ),
    ("vcop", "paper.pretraining.vcop", 'pretext = "guessing"', "settings.pretraining.vcop"),
    ("vcop", "paper.pretraining.vcop", 'start = "vcop"', "pretraining.vcop starts from itself"),
    ("vcop", "paper.pretraining.vcop", 'start = "nothing"', "needs the pretraining 'nothing', which is not there"),
    ("vcop", "paper.pretraining.vcop", 'like = "vcop"', "name one that is written out in full"),
    ("vcop", "paper.pretraining.vcop", "like = 1", "name one that is written out in full"),
    ("vcop", "paper.pretraining.vcop", "tuple_length = 6", "less than or equal to 5"),
    ("vcop", "paper.pretraining.vcop", "frame_rate = 25", "settings.pretraining.vcop.frame_rate"),
    (
        "mas",
        "paper.pretraining.joint",
        'dataset = "yupenn"',
        "split 1 of yupenn has no training videos; it has none at all",
    ),
    (
        "mas",
        "paper.pretraining.joint-kinetics",
        "split = 2",
        "split 2 of kinetics400 has no training videos; it has split 1",
    ),
    ("mas", "paper.flow", "factor = 1.0", "settings.flow.factor = 1.0"),
    ("mas", "paper.flow", 'method = "dis"', "is a setting of brox; dis has none"),
    ("mas", "paper.video", "clip_length = 1", "flow needs two frames"),
    ("srop", "paper.pretraining.full", "queue = 1", "a queue of 1 keys is too short for batches of 16"),
    ("srop", "paper.pretraining.full", "shortest = 9", "3 segments of at least 9 frames do not fit into clips of 16"),
    ("srop", "paper.pretraining.full", 'views = "order"', "makes no views"),
    ("srop", "paper.pretraining.full", "temperature = 0.0", "settings.pretraining.full.temperature = 0.0"),
    (
        "skip-clip",
        "paper.pretraining.skip-clip",
        "rank_margin = inf",
        "settings.pretraining.skip-clip.rank_margin = inf",
    ),
    ("vcop-curriculum", "small.subset", "table2 = []", "settings.subset.table2"),
]


@pytest.mark.parametrize(("paper", "table", "line", "words"), CANNOT_WORK, ids=lambda value: str(value)[:50])
def test_a_recipe_that_cannot_work_is_refused_by_its_key(tmp_path, paper, table, line, words):
    scale = table.partition(".")[0]
    with pytest.raises(InputError) as caught:
        recipe.load(paper, scale, written(tmp_path, paper, table, line))
    message = str(caught.value)
    assert message.startswith(f"{paper.replace('-', '_')}/recipe.toml: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "its key is not 'vcop'"),
        ('key = "mas"', "its key is not 'vcop'"),
        ('key = "vcop"', "settings.video: field required"),
        ('key = "vcop"\npaper = 5', "paper = 5; write a table, [paper]"),
        ('key = "vcop"\nscale = "tiny"', "scale: unknown key"),
        ('key = "vcop"\nsettings = {}', "settings: unknown key"),
        ('key = "vcop"\n[paper]\npretraining = 5', "pretraining = 5; write a table"),
        ('key = "vcop"\n[paper.pretraining]\nvcop = 5', "vcop = 5; write a table"),
        ("key = ", "not valid TOML"),
        (f"key = {'[' * 10_000}", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_is_no_recipe(tmp_path, content, words):
    path = tmp_path / "vcop/recipe.toml"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        recipe.load("vcop", "tiny", tmp_path)
    assert str(caught.value).startswith("vcop/recipe.toml: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("medium = {}", "medium: extra inputs are not permitted"),
        ("departures = 5", "departures = 5: input should be a valid tuple"),
        ("departures = [5]", "departures.0 = 5: input should be a valid dictionary"),
        (
            'decisions = [{ what = "", choice = "b", source = "c" }]',
            "decisions.0.what = '': string should have at least 1",
        ),
        ('decisions = [{ what = "a", choice = "b" }]', "decisions.0.source: field required"),
        (
            'departures = [{ id = "a b", scales = ["tiny"], what = "a", reason = "b" }]',
            "departures.0.id = 'a b': string should match pattern",
        ),
        (
            'departures = [{ id = "a", scales = ["tiny"], what = "a", reason = "b", effect = "" }]',
            "departures.0.effect = '': string should have at least 1",
        ),
        ('readings = [{ what = "a", reading = "b" }]', "readings.0.argument: field required"),
    ],
)
def test_what_stands_beside_the_settings(tmp_path, line, words):
    text = (recipe.FOLDER / "vcop/recipe.toml").read_text(encoding="utf-8").partition("[[decisions]]")[0]
    (tmp_path / "vcop").mkdir()
    (tmp_path / "vcop/recipe.toml").write_text(f"{line}\n{text}", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        recipe.load("vcop", "tiny", tmp_path)
    assert words in str(caught.value)


def test_what_the_schema_repeats_is_what_it_repeats():
    assert settings.SMALLEST_FLOW == flow.SMALLEST_FRAME


# ---------------------------------------------------------------------------------------- settings asked for otherwise


def leaves(settings: dict, keys=()):
    """The keys that lead to every setting that is no table, with what it says."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def test_a_change_is_a_departure_and_another_recipe():
    found = recipe.load("vcop", "paper")
    made = recipe.changed(found, {("video", "crop"): 56, ("pretraining", "vcop", "optimisation", "epochs"): 100})
    assert made.settings.video.crop == 56
    assert made.settings.pretraining["vcop"].optimisation.epochs == 100
    assert [(one.id, one.what) for one in made.departures[len(found.departures) :]] == [
        ("set-video.crop", "set: video.crop = 56 instead of 112"),
        (
            "set-pretraining.vcop.optimisation.epochs",
            "set: pretraining.vcop.optimisation.epochs = 100 instead of 300",
        ),
    ]
    assert [one.option for one in made.changes] == [
        "--set video.crop=56",
        "--set pretraining.vcop.optimisation.epochs=100",
    ]
    assert made.departures[: len(found.departures)] == found.departures
    hashes = {found.hash(), made.hash(), recipe.changed(found, {("video", "crop"): 56}).hash()}
    # What moves no number is another recipe, too, once it is asked for: records of both stand side by side.
    hashes.add(recipe.changed(found, {("video", "store"): not found.settings.video.store}).hash())
    assert len(hashes) == 4


@pytest.mark.parametrize(("paper", "scale"), RECIPES)
def test_what_a_recipe_says_already_is_no_change(paper, scale):
    found = recipe.load(paper, scale)
    said = dict(leaves(found.settings.model_dump(mode="json")))
    assert len(said) > 40
    assert recipe.changed(found, said) is found


def test_a_switch_is_no_number_and_a_whole_number_is_one():
    found = recipe.load("vcop", "paper")
    with pytest.raises(
        InputError, match=r"--set video\.store=1: settings\.video\.store = 1: input should be a valid boolean"
    ):
        recipe.changed(found, {("video", "store"): 1})
    rate = ("pretraining", "vcop", "optimisation", "weight_decay")
    assert recipe.changed(found, {rate: 1}).settings.pretraining["vcop"].optimisation.weight_decay == 1.0


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ("video.crap", 56, "--set video.crap: no 'crap' in video; there are clip_length, "),
        ("vidoe.crop", 56, "--set vidoe.crop: no 'vidoe' in the recipe; there are video, inputs, width, pretraining"),
        ("video.crop.side", 56, "--set video.crop.side: no 'side' in video.crop; it is no table"),
        ("flow.method", "dis", "--set flow.method: no 'method' in flow; it is no table"),
        ("video", 56, "--set video: a table; set what is in it: clip_length, resize"),
        ("video.crop", 5, "--set video.crop=5: settings.video.crop = 5: input should be greater than or equal to 8"),
        ("video.crop", "56", "--set 'video.crop=\"56\"': settings.video.crop = '56': input should be a valid integer"),
        ("video.crop", 512, "--set video.crop=512: settings.video: crop 512 is larger than frames of 128x171 (resize)"),
        ("video.pixels", "nice", "--set video.pixels=nice: settings.video.pixels"),
        ("retrieval.top", [1, 1], "--set 'retrieval.top=[1, 1]': settings.retrieval.top: [1, 1] names one twice"),
        ("pretraining.vcop.start", "vcop4", "needs the pretraining 'vcop4', which is not there"),
    ],
)
def test_a_change_that_cannot_be_is_named_as_it_was_given(keys, value, words):
    with pytest.raises(InputError, match=re.escape(words)):
        recipe.changed(recipe.load("vcop", "paper"), {tuple(keys.split(".")): value})


def test_a_table_may_stand_where_the_recipe_has_none():
    made = recipe.changed(recipe.load("vcop", "paper"), {("flow",): {"method": "brox", "store": False}})
    assert made.settings.flow.store is False
    assert made.changes[0].option == "--set 'flow={method = \"brox\", store = false}'"


def test_of_several_changes_the_guilty_one_is_named():
    changes = {("width",): 32, ("video", "crop"): 5, ("video", "resize"): [64, 64]}
    with pytest.raises(InputError, match=r"^--set video\.crop=5: settings\.video\.crop = 5: .*leave it to the recipe$"):
        recipe.changed(recipe.load("vcop", "paper"), changes)
    # A fault between settings is that of them all.
    changes[("video", "crop")] = 80
    with pytest.raises(
        InputError, match=r"^--set video\.crop=80 --set 'video\.resize=\[64, 64\]': settings\.video: crop 80"
    ):
        recipe.changed(recipe.load("vcop", "paper"), changes)


def test_a_recipe_holds_no_changes_of_its_own(tmp_path):
    folder = written(tmp_path, "vcop", "changes", "path = 1")
    with pytest.raises(InputError, match="changes: unknown key"):
        recipe.load("vcop", "tiny", folder)


def outside(folder: Path, name: str, key: str) -> Path:
    """A recipe in a folder of papers outside the checkout: that of vcop, under another key."""
    path = folder / name / "recipe.toml"
    path.parent.mkdir(parents=True)
    text = (recipe.FOLDER / "vcop/recipe.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('key = "vcop"', f'key = "{key}"'), encoding="utf-8")
    return path


def test_a_recipe_elsewhere_is_one_among_the_others(tmp_path, monkeypatch):
    before = recipe.papers()
    outside(tmp_path, "order_again", "order-again")
    monkeypatch.setenv("VIDEO_SSL_PAPERS", str(tmp_path))
    assert recipe.papers() == sorted([*before, "order-again"])
    assert recipe.load("order-again", "tiny").settings == recipe.load("vcop", "tiny").settings


def test_a_recipe_that_is_there_twice_is_refused_by_both_files(tmp_path, monkeypatch):
    path = outside(tmp_path, "vcop", "vcop")
    monkeypatch.setenv("VIDEO_SSL_PAPERS", str(tmp_path))
    with pytest.raises(InputError, match="the paper 'vcop' is there already") as said:
        recipe.load("mas", "tiny")
    assert str(path) in str(said.value)
    assert str(recipe.FOLDER / "vcop/recipe.toml") in str(said.value)


def test_a_recipe_elsewhere_has_the_key_of_its_folder(tmp_path, monkeypatch):
    outside(tmp_path, "other", "order")
    monkeypatch.setenv("VIDEO_SSL_PAPERS", str(tmp_path))
    with pytest.raises(InputError, match=r"other/recipe\.toml: its key is not 'other'"):
        recipe.load("other", "tiny")


def test_a_recipe_under_another_input_says_it_in_its_settings_and_hash():
    before = recipe.load("vcop", "paper")
    seen = NetworkInput(frames=8, stride=2, resize=(256, 256), crop=224, antialias=False, pixels=Pixels(channels="bgr"))
    after = recipe.under(before, seen)
    video = after.settings.video
    assert (video.clip_length, video.resize, video.crop, video.antialias) == (8, (256, 256), 224, False)
    assert video.pixels == Pixels(channels="bgr")
    assert (after.settings.retrieval.stride, after.settings.finetuning.stride, after.settings.probes.stride) == (
        2,
        2,
        2,
    )
    assert after.hash() != before.hash()
    # A recipe that has pixels written out gets others as a whole.
    again = recipe.under(after, NetworkInput(pixels=Pixels(mean=(0.5, 0.5, 0.5))))
    assert again.settings.video.pixels == Pixels(mean=(0.5, 0.5, 0.5))
    assert recipe.under(before, NetworkInput()).hash() == before.hash()
    assert recipe.under(after, NetworkInput()) is after


def test_an_input_that_does_not_fit_is_told_with_the_options_that_state_it():
    with pytest.raises(
        InputError, match=r"an input of centre 224x224: .*crop 224 is larger than frames.*--frames, --resize"
    ):
        recipe.under(recipe.load("vcop", "paper"), NetworkInput(crop=224))


def test_every_protocol_of_networks_from_elsewhere_is_measured_by_one_paper():
    said = {one: paper for paper in recipe.papers() for one in recipe.load(paper, "paper").evaluates}
    assert said == {
        "aslan": "mas",
        "yupenn": "mas",
        "video-qa": "vcop-curriculum",
        **dict.fromkeys(("clip-retrieval", "video-retrieval", "recognition"), "vcop"),
    }
    assert {one: recipe.that_evaluates(one) for one in said} == said
    with pytest.raises(InputError, match=r"evaluates cost; name a paper .*--paper"):
        recipe.that_evaluates("cost")
