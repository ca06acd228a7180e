"""What a dataset's TOML says, those of the suite and others from elsewhere, through to what stages see of it."""

import json
import sys
from pathlib import Path

import pytest

from suite import datasets, elsewhere, settings, stages
from suite.datasets import description, lists, synthetic
from suite.errors import InputError
from suite.stages.data import Data

# What the code said of the six before they were files: layout, folder, splits, classes, frames, labels, own protocol, share
# that may be missing.
THREE = (1, 2, 3)
KNOWN = {
    "ucf101": ("UCF-101", {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}, 101, 186, True, "", 0),
    "hmdb51": ("hmdb51", dict.fromkeys(THREE, (3570, 1530)), 51, 95, True, "", 0),
    "kinetics400": ("kinetics400", {1: (246534, 19906)}, 400, 300, True, "", 0.1),
    "aslan": ("ASLAN", {1: (0, 3017)}, 1, 100, False, "aslan", 0),
    "yupenn": ("YUPENN", {1: (0, 420)}, 14, 145, True, "yupenn", 0),
    "activitynet-qa": ("activitynet-qa/videos", {1: (5000, 800)}, 1, 5000, False, "video-qa", 0.1),
}
LEAST = 'layout = "{layout}"\nlists = ["{lists}"]\nclasses = {classes}\nsplits = {{ 1 = [3, 2] }}\nframes = 40\n'


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder outside the checkout, `DIR/datasets/`; what is imported from it is forgotten again."""
    folder = tmp_path / "papers"
    (folder / "datasets").mkdir(parents=True)
    monkeypatch.setenv(elsewhere.VARIABLE, str(folder))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[name]


def described(places: Path, name: str, text: str) -> Path:
    path = places / "datasets" / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def quiet(done: int, total: int) -> None:
    pass


# ------------------------------------------------------------------------------------------------ the suite's own


def test_the_six_are_there():
    assert set(datasets.names()) == set(KNOWN)
    for name, (videos, splits, classes, frames, labelled, protocol, missing) in KNOWN.items():
        about = datasets.describe(name)
        assert (about.videos, about.splits, about.class_count) == (videos, splits, classes)
        assert (about.frames, about.labelled, about.protocol, about.missing) == (frames, labelled, protocol, missing)
        assert about.official, "its lists are known by their content"
        assert about.synthetic
        assert about.class_names == ()
        assert about.trains == (splits[1][0] > 0)
        assert datasets.source(about) == "", "keys of the suite's own data hold nothing else"


def test_the_folders_of_lists_of_the_six():
    found = {name: datasets.describe(name).lists for name in KNOWN}
    assert found == {
        "ucf101": ("ucfTrainTestlist",),
        "hmdb51": (
            *("testTrainMulti_7030_splits", "hmdb51_splits", "hmdb51/testTrainMulti_7030_splits"),
            "splits",
        ),
        "kinetics400": ("kinetics400/annotations", "kinetics400"),
        "aslan": (),
        "yupenn": (),
        "activitynet-qa": ("activitynet-qa",),
    }


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layout = ", "not valid TOML"),
        ("", "layout: field required"),
        (LEAST.format(layout="ucf101", lists="l", classes=3) + "fps = 25\n", "fps = 25: extra inputs"),
        (LEAST.format(layout="ucf 101", lists="l", classes=3), "layout = 'ucf 101': string should match"),
        (LEAST.format(layout="ucf101", lists="../l", classes=3), "lists.0 = '../l': is no folder below the data root"),
        (LEAST.format(layout="ucf101", lists="/l", classes=3), "lists.0 = '/l': is no folder below the data root"),
        (LEAST.format(layout="ucf101", lists="l", classes=0), "classes"),
        (LEAST.format(layout="ucf101", lists="l", classes='["a", "a"]'), "names one twice"),
        (LEAST.format(layout="ucf101", lists="l", classes="true"), "classes"),
        (LEAST.format(layout="ucf101", lists="l", classes=3) + "missing = 1.5\n", "missing = 1.5"),
        (LEAST.format(layout="ucf101", lists="l", classes=3).replace("[3, 2]", "[3]"), "splits.1"),
        (LEAST.format(layout="ucf101", lists="l", classes=3).replace("1 =", "0 ="), "greater than or equal to 1"),
        (LEAST.format(layout="ucf101", lists="l", classes=3) + 'name = "x"\n', ""),
    ],
    ids=lambda value: value[-30:],
)
def test_a_malformed_file_is_one_line(places, text, words):
    path = described(places, "mine", text)
    if not words:
        assert datasets.describe("mine").name == "mine", "a file's name is the dataset's"
        return
    with pytest.raises(InputError) as caught:
        datasets.describe("mine")
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_there_lists_those_that_are(places):
    described(places, "mine", LEAST.format(layout="ucf101", lists="l", classes=3))
    assert datasets.names()[-1] == "mine"
    with pytest.raises(InputError, match=r"unknown dataset 'yours'; choose one of activitynet-qa, .*, yupenn, mine$"):
        datasets.describe("yours")


def test_a_name_is_there_once(places):
    described(places, "ucf101", LEAST.format(layout="ucf101", lists="l", classes=3))
    with pytest.raises(InputError, match=r"there is a dataset 'ucf101' already .*; rename one"):
        datasets.describe("ucf101")


def test_a_layout_that_is_none(places, tmp_path):
    described(places, "mine", LEAST.format(layout="nowhere", lists="l", classes=3))
    with pytest.raises(InputError, match="no module 'nowhere'"):
        datasets.load("mine", tmp_path)
    (places / "nowhere.py").write_text("")
    with pytest.raises(InputError, match=r"layout 'nowhere' of mine: has no read\(description, root\)"):
        datasets.load("mine", tmp_path)


def test_lists_need_a_folder(places, tmp_path):
    text = LEAST.format(layout="ucf101", lists="l", classes=3).replace('lists = ["l"]\n', "")
    described(places, "mine", text)
    with pytest.raises(InputError, match="mine: its layout reads list files; name their folders under `lists`"):
        datasets.load("mine", tmp_path)


def test_a_recipe_takes_a_dataset_from_elsewhere(places):
    described(places, "mine", LEAST.format(layout="ucf101", lists="l", classes=3))
    told = {"batch": 1, "epochs": 1, "learning_rate": 0.1, "weight_decay": 0.0, "precision": "fp32"}
    found = settings.Pretraining(pretext="vcop.clip_order", dataset="mine", split=1, optimisation=told)
    assert found.dataset == "mine"
    with pytest.raises(ValueError, match="split 2 of mine has no training videos; it has split 1"):
        settings.Pretraining(pretext="vcop.clip_order", dataset="mine", split=2, optimisation=told)


# ------------------------------------------------------------------------------------------------ two layouts, end to end


def in_ucf101_layout(root: Path) -> None:
    """Five videos of two classes, six splits of which two are there."""
    videos = [f"{name}/v_{name}_g{group:02d}_c01.avi" for name in ("jump", "run") for group in (1, 2)]
    videos.append("run/v_run_g03_c01.avi")
    for video in videos:
        (root / "clips" / video).parent.mkdir(parents=True, exist_ok=True)
    folder = root / "clips-lists"
    folder.mkdir()
    (folder / "classInd.txt").write_text("1 run\n2 jump\n")
    for number, tested in ((1, (1,)), (6, (2,))):
        held = [video for video in videos if int(video[-10:-8]) in tested]
        train = [f"{video} {1 if video.startswith('run') else 2}" for video in videos if video not in held]
        (folder / f"trainlist{number:02d}.txt").write_text("\n".join(train))
        (folder / f"testlist{number:02d}.txt").write_text("\n".join(held))


def in_hmdb51_layout(root: Path) -> None:
    folder = root / "clips-lists"
    folder.mkdir(parents=True)
    for name, count in (("jump", 2), ("run", 3)):
        (root / "clips" / name).mkdir(parents=True)
        for split in (1, 4):
            rows = [f"film{n}_{name}_f_cm_np1_le_med_{n}.avi {2 if n == split % 2 else 1}" for n in range(count)]
            (folder / f"{name}_test_split{split}.txt").write_text("\n".join(rows))


def filled(root: Path, name: str, template: Path) -> datasets.Dataset:
    """The dataset with a real video in the place of each that its lists name."""
    about, listing = datasets.describe(name), None
    listing = elsewhere.module(about.layout, "suite.datasets").read(about, root)
    for split in listing.splits.values():
        for video in split.videos():
            if not (root / video.path).exists():
                (root / video.path).symlink_to(template)
    return datasets.load(name, root)


@pytest.mark.parametrize(
    ("layout", "written", "numbers", "classes"),
    [("ucf101", in_ucf101_layout, [1, 6], ("run", "jump")), ("hmdb51", in_hmdb51_layout, [1, 4], ("jump", "run"))],
    ids=["ucf101", "hmdb51"],
)
def test_a_dataset_of_ones_own(places, synthetic_root, tmp_path, layout, written, numbers, classes):
    sizes = {"ucf101": "{ 1 = [3, 2], 6 = [3, 2] }", "hmdb51": "{ 1 = [3, 2], 4 = [3, 2] }"}[layout]
    text = LEAST.format(layout=layout, lists="clips-lists", classes=2).replace("{ 1 = [3, 2] }", sizes)
    described(places, "mine", f'videos = "clips"\n{text}')
    root = tmp_path / "data"
    written(root)
    assert datasets.present("mine", root)
    with pytest.raises(InputError, match=r"no such video, named in .* \(5 of the videos in the lists are absent\)"):
        datasets.load("mine", root)
    template = next((synthetic_root / "UCF-101").rglob("*.avi"))
    data = filled(root, "mine", template)
    assert (data.name, data.classes, list(data.splits), data.scope) == ("mine", classes, numbers, "full")
    assert {len(split.train) for split in data.splits.values()} == {3}
    assert all(video.name.split("/")[0] == classes[video.label] for video in data.videos())
    # As a run sees it: checked, and read back by a stage that builds on the check.
    folder = tmp_path / "check"
    folder.mkdir()
    job = stages.Job("check-data", {"dataset": "mine"}, {}, {"mine": root}, folder, stages.Runtime())
    result = stages.run(job)
    assert result["counts"]["decoded"] == 5
    later = Data(
        stages.Job("features", {}, {"check-data:mine": folder}, {"mine": root}, tmp_path, stages.Runtime()), "mine"
    )
    assert later.dataset == data
    assert set(later.frames) == {video.name for video in data.videos()}
    frames = later.source((32, 32)).frames(data.videos()[0].name, [0, 1])
    assert tuple(frames.shape) == (2, 32, 32, 3)
    # Lists of other sizes than the description states are a part of it.
    described(places, "mine", f'videos = "clips"\n{text}'.replace("[3, 2]", "[4, 2]"))
    assert datasets.load("mine", root).scope == "subset"


def test_what_a_layout_imports_is_a_part_of_the_data(places):
    (places / "reading.py").write_text("def read(about, root):\n    import rows\n    return rows.all_of(root)\n")
    (places / "rows.py").write_text("all_of = None\n")
    described(places, "mine", LEAST.format(layout="reading", lists="l", classes=2))
    first = datasets.source(datasets.describe("mine"))
    (places / "rows.py").write_text("all_of = list\n")
    assert datasets.source(datasets.describe("mine")) != first


def test_classes_that_the_description_names_are_in_its_order(places, tmp_path):
    text = 'videos = "clips"\n' + LEAST.format(layout="hmdb51", lists="clips-lists", classes='["run", "jump"]')
    described(places, "mine", text)
    root = tmp_path / "data"
    in_hmdb51_layout(root)
    about = datasets.describe("mine")
    assert elsewhere.module("hmdb51", "suite.datasets").read(about, root).classes == ("run", "jump")
    described(places, "mine", text.replace('"jump"', '"leap"'))
    with pytest.raises(InputError, match=r"class 'jump' is not among the `classes` of mine"):
        datasets.load("mine", root)


def test_class_numbers_need_no_file_where_the_description_names_them(places, tmp_path):
    text = 'videos = "clips"\n' + LEAST.format(layout="ucf101", lists="clips-lists", classes='["run", "jump"]')
    described(places, "mine", text)
    root = tmp_path / "data"
    in_ucf101_layout(root)
    (root / "clips-lists" / "classInd.txt").unlink()
    assert elsewhere.module("ucf101", "suite.datasets").read(datasets.describe("mine"), root).classes == ("run", "jump")


def test_a_layout_of_ones_own(places, tmp_path):
    """A module with `read`, beside the description."""
    (places / "flat.py").write_text(
        "from suite.datasets import Absent, Listing, Split, Video\n\n\n"
        "def read(about, root):\n"
        "    names = (root / 'names.txt').read_text().split()\n"
        "    videos = [Video(n, f'{about.videos}/{n}.avi', k % 2, n) for k, n in enumerate(names)]\n"
        "    absent = {v.name: Absent(root / v.path, 'names.txt') for v in videos if not (root / v.path).exists()}\n"
        "    return Listing(('even', 'odd'), {1: Split(tuple(videos[:-2]), tuple(videos[-2:]))}, {}, {}, absent)\n"
    )
    described(places, "mine", 'layout = "flat"\nclasses = 2\nsplits = { 1 = [4, 2] }\nframes = 40\n')
    (tmp_path / "mine").mkdir()
    (tmp_path / "names.txt").write_text("a b c d e f")
    for name in "abcdef":
        (tmp_path / "mine" / f"{name}.avi").touch()
    data = datasets.load("mine", tmp_path)
    assert [video.label for video in data.splits[1].train] == [0, 1, 0, 1]
    assert (data.scope, data.classes) == ("full", ("even", "odd"))
    before = data.fingerprint()
    # Whatever the module does otherwise from now on, it makes other data.
    (places / "flat.py").write_text((places / "flat.py").read_text() + "# changed\n")
    assert datasets.load("mine", tmp_path).fingerprint() != before


# ------------------------------------------------------------------------------------------------ generated data


@pytest.mark.parametrize("kind", ["ucf101", "hmdb51", "kinetics400", "textures"])
def test_generated_data_in_the_name_and_folders_of_another_dataset(places, tmp_path, kind):
    layout = {"textures": "yupenn"}.get(kind, kind)
    classes = 2 if kind != "kinetics400" else '["waving", "bowing"]'
    text = LEAST.format(layout=layout, lists="mine-lists", classes=classes) + f'missing = 0.1\nsynthetic = "{kind}"\n'
    described(places, "mine", text)
    sizes, names = synthetic.sizes("mine")
    synthetic.generate("mine", tmp_path, {"height": 32, "width": 32}, quiet)
    data = datasets.load("mine", tmp_path)
    assert data.scope == "synthetic"
    assert data.classes == names
    assert len(names) == 2
    assert {number: (len(split.train), len(split.test)) for number, split in data.splits.items()} == sizes
    assert all(video.path.startswith("mine/") for video in data.videos())
    assert json.loads((tmp_path / datasets.SYNTHETIC).read_text()).keys() == {"mine"}


def test_two_datasets_of_one_kind_show_different_videos(places, synthetic_root, tmp_path):
    described(places, "mine", LEAST.format(layout="ucf101", lists="mine-lists", classes=2) + 'synthetic = "ucf101"\n')
    synthetic.generate("mine", tmp_path, {}, quiet)
    name = "MoveRight/v_MoveRight_g01_c01.avi"
    assert (tmp_path / "mine" / name).read_bytes() != (synthetic_root / "UCF-101" / name).read_bytes()


def test_a_dataset_that_nothing_stands_for(places, tmp_path):
    described(places, "mine", LEAST.format(layout="ucf101", lists="l", classes=2))
    with pytest.raises(InputError, match=r"mine: nothing generates data in its place .*; give --data-root DIR"):
        synthetic.sizes("mine")
    described(places, "mine", LEAST.format(layout="ucf101", lists="l", classes=2) + 'synthetic = "odd_maker"\n')
    (places / "odd_maker.py").write_text("def sizes(about):\n    return {}, ()\n")
    with pytest.raises(InputError, match=r"synthetic 'odd_maker' of mine: has no plan\(description, \.\.\.\)"):
        synthetic.sizes("mine")


def test_lists_are_looked_for_in_the_first_folder_that_is_there(places, tmp_path):
    text = LEAST.format(layout="ucf101", lists="l", classes=2).replace('["l"]', '["one", "two"]')
    described(places, "mine", text)
    about = datasets.describe("mine")
    assert lists.home(about, tmp_path) == tmp_path / "one"
    (tmp_path / "two").mkdir()
    assert lists.home(about, tmp_path) == tmp_path / "two"
    assert description.built_in("ucf101")
    assert not description.built_in("mine")
