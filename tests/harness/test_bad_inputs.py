"""Bad input of every kind through the command line: an exit code, one clear line, no traceback, no hang, nothing lost.

A new case is a row: the command, its exit code, and words of its last line on stderr. $T is a folder with what `made` lays there.
"""

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from harness import cli, commands, tables
from harness.records import Store
from suite import recipe
from tests.harness import results
from tests.suite.test_recipe import written

ROOT = Path(__file__).parents[2]
# Seconds that a command may take. What is refused takes far less; what waits for ever never ends.
LIMIT = 60
DIGITS = "7" * 5000
EVALUATE = "evaluate --scale tiny --runs $T/new --checkpoint $T/text --backbone r3d --protocol clip-retrieval"

ROWS = [
    # ---------------------------------------------------------------- commands and what they are about
    ("", 2, "no command"),
    ("unknown-command", 2, "unknown-command"),
    ("plan", 2, "PAPER"),
    ("plan vcop --no-such-option", 2, "--no-such-option"),
    ("plan vcop surplus", 2, "surplus"),
    ("show vcopp", 2, "unknown paper 'vcopp'; papers: mas,"),
    ("show ''", 2, "unknown paper ''"),
    ("show ../vcop", 2, "unknown paper '../vcop'"),
    ("show 'a\nb'", 2, "unknown paper"),
    (f"show {DIGITS}", 2, "papers: mas,"),
    ("show vcop --table table9", 2, "no table 'table9'; there are table1"),
    ("plan vcopp", 2, "unknown paper"),
    ("run vcopp", 2, "unknown paper"),
    ("regression vcopp", 2, "unknown paper"),
    ("bless vcopp --reason none", 2, "unknown paper"),
    ("bless vcop --reason ''", 2, "reason"),
    ("compare vcopp --records $T/records", 2, "unknown paper"),
    ("export cell", 2, "choose cells or records"),
    # ---------------------------------------------------------------- lists of names
    ("plan vcop --tables ''", 2, "--tables '': an empty name"),
    ("plan vcop --tables ,", 2, "--tables ',': an empty name"),
    ("plan vcop --tables table1,", 2, "an empty name"),
    ("plan vcop --tables table1 --tables ''", 2, "an empty name"),
    ("plan vcop --rows ''", 2, "--rows '': an empty name"),
    ("plan vcop --rows ' , '", 2, "an empty name"),
    ("plan vcop --datasets ''", 2, "--datasets '': an empty name"),
    ("run vcop --tables '' --runs $T/new", 2, "an empty name"),
    ("run vcop --rows , --runs $T/new", 2, "an empty name"),
    ("run vcop --datasets '' --runs $T/new", 2, "an empty name"),
    ("check-data --data-root $T/empty --datasets ''", 2, "an empty name"),
    ("check-data --data-root $T/empty --datasets imagenet", 2, "unknown dataset 'imagenet'"),
    ("plan vcop --tables table7", 2, "no table 'table7'"),
    (f"plan vcop --tables {DIGITS}", 2, "there are table1"),
    ("plan vcop --rows r4d", 2, "no row 'r4d'"),
    ("plan vcop --datasets kinetics", 2, "its datasets: hmdb51, ucf101"),
    ("run vcop --tables table7 --runs $T/new", 2, "no table 'table7'"),
    ("run vcop --rows r4d --runs $T/new", 2, "no row 'r4d'"),
    ("plan vcop --scale huge", 2, "unknown scale 'huge'; scales: paper, small, tiny"),
    ("plan vcop --scale ''", 2, "unknown scale ''"),
    ("run vcop --scale huge --runs $T/new", 2, "unknown scale 'huge'"),
    ("compare vcop --scale huge --records $T/records", 2, "unknown scale 'huge'"),
    ("compare vcop --verdict ''", 2, "choose one of REPRODUCED"),
    ("compare vcop --verdict GOOD", 2, "choose one of REPRODUCED"),
    # ---------------------------------------------------------------- numbers
    ("plan vcop --seeds 0", 2, "--seeds 0: give a whole number from 1 to 100"),
    ("plan vcop --seeds -1", 2, "from 1 to 100"),
    ("plan vcop --seeds 1000000000", 2, "from 1 to 100"),
    (f"plan vcop --seeds {DIGITS}", 2, "from 1 to 100"),
    ("plan vcop --seeds 1.5", 2, "from 1 to 100"),
    ("plan vcop --seeds ''", 2, "from 1 to 100"),
    ("plan vcop --seeds ²", 2, "from 1 to 100"),
    ("plan vcop --seeds nan", 2, "from 1 to 100"),
    ("run vcop --seeds 1000000000 --runs $T/new", 2, "from 1 to 100"),
    (f"{EVALUATE} --seeds 1000000000", 2, "from 1 to 100"),
    ("run vcop --workers 1000000000 --runs $T/new", 2, "--workers 1000000000: give a whole number from 0 to 256"),
    ("run vcop --workers -1 --runs $T/new", 2, "from 0 to 256"),
    ("plan vcop --tflops nan", 2, "--tflops nan: give a number from 0.001"),
    ("plan vcop --tflops inf", 2, "give a number from 0.001"),
    ("plan vcop --tflops -1", 2, "give a number from 0.001"),
    ("plan vcop --tflops 0", 2, "give a number from 0.001"),
    ("plan vcop --tflops 1e-320", 2, "give a number from 0.001"),
    ("plan vcop --tflops ten", 2, "give a number from 0.001"),
    ("plan vcop --device tpu", 2, "--device tpu: no such device"),
    ("plan vcop --device ''", 2, "no such device"),
    ("plan vcop --device cuda:", 2, "no such device"),
    ("plan vcop --device cuda:²", 2, "no such device"),
    ("plan vcop --device cuda:-1", 2, "no such device"),
    ("plan vcop --device 'cuda: 1'", 2, "no such device"),
    ("plan vcop --device cuda:999", 2, "no such device"),
    (f"plan vcop --device cuda:{DIGITS}", 2, "no such device"),
    ("plan vcop --device CPU", 2, "no such device"),
    (f"{EVALUATE} --splits ''", 2, "give official split numbers"),
    (f"{EVALUATE} --splits 1,1", 2, "each once"),
    (f"{EVALUATE} --splits 0", 2, "give official split numbers"),
    (f"{EVALUATE} --splits 4", 2, "give official split numbers of ucf101: 1, 2, 3"),
    (f"{EVALUATE} --splits ²", 2, "give official split numbers"),
    (f"{EVALUATE} --splits {DIGITS}", 2, "give official split numbers"),
    # ---------------------------------------------------------------- paths
    ("plan vcop --runs ''", 2, "a shell variable empty"),
    ("plan vcop --data-root ''", 2, "a shell variable empty"),
    ("plan vcop --data-root $T/nowhere", 2, "nowhere: no such data root"),
    ("plan vcop --data-root $T/text", 2, "no such data root"),
    ("run vcop --data-root $T/empty --runs $T/new", 2, "the data root must hold"),
    ("plan vcop --runs $T/text", 2, "text: is no folder"),
    ("run vcop --runs $T/text", 2, "text: is no folder"),
    ("run vcop --runs $T/fifo", 2, "fifo: is no folder"),
    ("run vcop --tables params --runs /proc/nowhere", 2, "/proc/nowhere"),
    ("run vcop --records $T/text --runs $T/new", 2, "text: is no folder"),
    ("regression --runs $T/text", 2, "text: is no folder"),
    ("check-data", 2, "--data-root"),
    ("check-data --data-root $T/nowhere", 2, "nowhere"),
    ("check-data --data-root $T/empty", 2, "holds none of the datasets"),
    ("check-data --data-root $T/text", 2, "text"),
    ("run vcop --scale paper --runs $T/new", 2, "needs --data-root"),
    ("plan vcop-curriculum --glove $T/nowhere", 2, "no such file"),
    ("plan vcop-curriculum --glove $T/fifo", 2, "no such file"),
    ("plan vcop-curriculum --glove $T/empty", 2, "no such file"),
    ("plan vcop-curriculum --glove $T/text", 2, "its first line has 0 numbers, not 300"),
    ("plan vcop-curriculum --glove ''", 2, "a shell variable empty"),
    # ---------------------------------------------------------------- checkpoints
    (EVALUATE.replace("text", "nowhere"), 2, "no such checkpoint"),
    (EVALUATE.replace("text", "fifo"), 2, "no such checkpoint"),
    (EVALUATE.replace("text", "empty"), 2, "no such checkpoint"),
    (EVALUATE.replace("r3d", "r4d"), 2, "choose one of c3d, r3d"),
    (EVALUATE.replace("clip-retrieval", "guessing"), 2, "choose one of clip-retrieval"),
    (f"{EVALUATE} --dataset yupenn", 2, "clip-retrieval is measured on one of hmdb51"),
    (f"{EVALUATE} --dataset nowhere", 2, "clip-retrieval is measured on one of hmdb51"),
    # ---------------------------------------------------------------- networks and what they take
    (EVALUATE.replace("r3d", "torchvision:r4d"), 2, "of torchvision there are r3d_18, mc3_18, r2plus1d_18, s3d"),
    (EVALUATE.replace("r3d", "no_such_module:net"), 2, "no module 'no_such_module'"),
    (EVALUATE.replace("r3d", "math:"), 2, "name it package.module:factory"),
    (EVALUATE.replace("r3d", "math:pi"), 2, "network 'math:pi': pi() fails with TypeError"),
    (f"{EVALUATE} --mean 1,2", 2, "--mean 1,2: give three numbers, one for each channel"),
    (f"{EVALUATE} --mean nan,0,0", 2, "give three numbers"),
    (f"{EVALUATE} --mean 114,107,99", 2, "a mean above 1 is one of values from 0 to 255; say range 255"),
    (f"{EVALUATE} --std 0,1,1", 2, "pixels.std.0: Input should be greater than 0"),
    (f"{EVALUATE} --std {DIGITS},1,1", 2, "--std"),
    (f"{EVALUATE} --channels gbr", 2, "pixels.channels: Input should be 'rgb' or 'bgr'"),
    (f"{EVALUATE} --range 128", 2, "pixels.range: Input should be 1 or 255"),
    (f"{EVALUATE} --range 256", 2, "--range 256: give a whole number from 1 to 255"),
    (f"{EVALUATE} --resize 128", 2, "--resize 128: give height and width in pixels, such as 128x171"),
    (f"{EVALUATE} --resize 4x4", 2, "resize.0: Input should be greater than or equal to 8"),
    (f"{EVALUATE} --crop 4", 2, "--crop 4: give a whole number from 8 to 4096"),
    (f"{EVALUATE} --crop 112", 2, "crop 112 is larger than frames of 37x49 (resize); state the whole input"),
    (f"{EVALUATE} --frames 0", 2, "--frames 0: give a whole number from 1 to 1000"),
    (f"{EVALUATE} --stride {DIGITS}", 2, "give a whole number from 1 to 1000"),
    (f"{EVALUATE} --name ''", 2, "--name"),
    (f"{EVALUATE} --name 'a\nb'", 2, "letters that can be printed"),
    (f"{EVALUATE} --name {DIGITS}", 2, "1 to 100 letters"),
    (f"{EVALUATE} --paper vcopp", 2, "no recipe for paper 'vcopp'"),
    (f"{EVALUATE} --paper mas", 2, "its recipe has no features of clips"),
    # ---------------------------------------------------------------- records and pages
    ("report --records $T/nowhere", 2, "nowhere: no such folder of records"),
    ("report --records $T/nowhere --check", 2, "no such folder of records"),
    ("report --records $T/nowhere --out $T/new", 2, "no such folder of records"),
    ("report --records $T/nowhere --format latex --table vcop.table1", 2, "no such folder of records"),
    ("report --records $T/text", 2, "no such folder of records"),
    ("report --records ''", 2, "a shell variable empty"),
    # Pages with results are there already.
    ("report --records $T/empty --out $T/reports", 2, "reports/vcop.md: shows results"),
    # The repository's pages are of the repository's records.
    ("report --records $T/records", 2, "name the pages' folder by --out"),
    ("report --records $T/empty", 2, "name the pages' folder by --out"),
    ("report --records $T/records --format html", 2, "name the pages' folder by --out"),
    ("report --records $T/records --out $T/text", 2, "text: is no folder"),
    ("report --records $T/records --out $T/fifo", 2, "fifo: is no folder"),
    ("report --records $T/records --out /proc/nowhere", 2, "/proc/nowhere"),
    ("report --records $T/records --out ''", 2, "a shell variable empty"),
    ("report --records $T/piped --out $T/new", 2, "one.json: is no regular file"),
    ("report --records $T/misplaced --out $T/new", 2, "lies elsewhere than its key"),
    ("report --records $T/misplaced/vcop --out $T/new", 2, "lies elsewhere than its key"),
    ("report --records $T/spoilt --out $T/new", 2, "one.json: no record"),
    ("report --format pdf", 2, "choose markdown, html or latex"),
    ("report --format latex --records $T/records", 2, "--table PAPER.TABLE"),
    ("report --format latex --table vcop --records $T/records", 2, "--table PAPER.TABLE"),
    ("report --format latex --table vcop.table9 --scale tiny --records $T/records", 2, "no table 'table9'"),
    ("report --format latex --table vcop.table1 --scale huge --records $T/records", 2, "no results of vcop at scale"),
    ("compare imported --records $T/records", 2, "shows them on a page"),
    ("compare vcop --records $T/nowhere", 2, "no such folder of records"),
    ("compare vcop --records $T/fifo", 2, "no such folder of records"),
    ("compare vcop --records $T/piped", 2, "is no regular file"),
    ("export records --from $T/nowhere", 2, "no such folder of records; run a paper first, or give --from"),
    ("export records --from $T/piped", 2, "is no regular file"),
    ("export --format xml", 2, "choose one of json, csv, parquet"),
    ("export --format parquet", 2, "name a file with --out"),
    ("export --format parquet --out $T/empty", 2, "empty: is a folder"),
    ("export --format json --out $T/empty", 2, "is a folder"),
    ("export --out $T/fifo", 2, "fifo: is no regular file"),
    ("export --out /dev/null", 2, "is no regular file"),
    ("export --out $T/nowhere/cells.json", 2, "no such folder"),
    ("export --out $T/text/cells.json", 2, "no such folder"),
    ("export --out ''", 2, "a shell variable empty"),
    ("export --out $T/locked/cells.json", 2, "cannot be written to"),
]

# What should work all the same.
FINE = [
    "plan vcop --tables 'table1, table2' --rows r3d,r3d_random --seeds 2",
    "plan vcop --tables table2 --rows r3d_random --seeds 100",
    "report --records $T/empty --out $T/fresh",
    "compare vcop --records $T/empty",
    "export records --from $T/empty --format csv",
    "export records --from $T/records --out $T/written.json",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with things that commands are pointed to by mistake."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text").write_text("words\n", encoding="utf-8")
    os.mkfifo(folder / "fifo")
    for name in ("empty", "reports", "piped/vcop", "misplaced/vcop", "spoilt/vcop", "locked"):
        (folder / name).mkdir(parents=True)
    os.mkfifo(folder / "piped/vcop/one.json")
    (folder / "spoilt/vcop/one.json").write_text("{", encoding="utf-8")
    vcop = tables.load(commands.TABLES)["vcop"]
    for record in results.records(vcop, tables=("table1",), seeds=1):
        path = Store(folder / "records").add(record)
    shutil.copyfile(path, folder / "misplaced/vcop/one.json")
    (folder / "reports/vcop.md").write_text("Results.\n", encoding="utf-8")
    (folder / "locked").chmod(0o500)
    return folder


def called(command: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command in this process, from within `folder`; one that does not end fails."""

    def late(*_):
        raise TimeoutError(f"{command[:200]}: still at it after {LIMIT} s")

    words = [word.replace("$T", str(folder)) for word in shlex.split(command)]
    before, argv, out, err = os.getcwd(), sys.argv, io.StringIO(), io.StringIO()
    alarm = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    os.chdir(folder)
    try:
        sys.argv = ["harness", *words]
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, alarm)
        os.chdir(before)
        sys.argv = argv
    return ended.value.code, out.getvalue(), err.getvalue()


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, by name."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {name: path.read_bytes() if path.is_file() else None for name, path in found.items()}


def refused(code: int, err: str, expected: int, words: str) -> None:
    """Asserts the form of every fault."""
    assert "Traceback" not in err
    assert code == expected, err
    last = err.splitlines()[-1]
    assert words in last
    assert len(last) < 1100
    if words:
        assert last.startswith("error: ")
        assert sum(line.startswith("error: ") for line in err.splitlines()) == 1


@pytest.mark.parametrize(("command", "code", "words"), ROWS, ids=[row[0][:70] for row in ROWS])
def test_one_line_and_nothing_lost(made, command, code, words):
    if "locked" in command and os.access(made / "locked", os.W_OK):
        pytest.skip("this user may write to any folder")
    before = contents(made)
    found, _, err = called(command, made)
    refused(found, err, code, words)
    assert contents(made) == before


@pytest.mark.parametrize("command", FINE)
def test_what_is_odd_and_right(made, command):
    code, _, err = called(command, made)
    assert code == 0, err


# Of recipes (paper, scale, table, line) that cannot work, and words of what `plan` says.
RECIPES = [
    ("vcop", "paper", "paper.video", "crop = 200", "crop 200 is larger than frames of 128x171 (resize)"),
    ("vcop", "paper", "paper.video", "resize = [-128, 171]", "settings.video.resize.0 = -128"),
    ("vcop", "paper", "paper.finetuning.optimisation", 'batch = "8"', "settings.finetuning.optimisation.batch = '8'"),
    ("vcop", "paper", "paper.finetuning.optimisation", "learning_rate = inf", "learning_rate = inf"),
    ("vcop", "paper", "paper.retrieval", "top = [0]", "settings.retrieval.top.0 = 0"),
    ("vcop", "paper", "paper.pretraining.vcop", 'dataset = "ucf102"', "settings.pretraining.vcop.dataset = 'ucf102'"),
    ("vcop", "paper", "paper.compute", "threads = -1", "settings.compute.threads = -1"),
    ("vcop-curriculum", "small", "small.subset", 'table2 = ["r4d"]', "subset.table2: no 'r4d'; there are"),
    ("vcop-curriculum", "small", "small.subset", 'table99 = ["r3d"]', "subset.table99: no 'table99'; there are"),
]


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(("paper", "scale", "table", "line", "words"), RECIPES, ids=[row[3] for row in RECIPES])
def test_a_recipe_that_cannot_work_is_one_line(made, tmp_path, monkeypatch, command, paper, scale, table, line, words):
    spoilt, load = written(tmp_path, paper, table, line), recipe.load
    monkeypatch.setattr(recipe, "load", lambda paper, scale: load(paper, scale, spoilt))
    code, _, err = called(f"{command} {paper} --scale {scale} --runs $T/new", made)
    refused(code, err, 2, words)
    assert paper in err
    assert not (made / "new").exists()


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def rewritten(old: str, new: str):
    def rewrite(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return rewrite


DIGITS_IN_TOML = rewritten("\n", f"\nn = {DIGITS}\n")
# Of the repository's tables (command, file, what is done to it), and words of what is said.
TABLES = [
    ("plan vcop", "vcop.toml", piped, "vcop.toml: is no regular file"),
    ("list", "vcop.toml", a_folder, "vcop.toml: cannot be read: Is a directory"),
    ("list", "vcop.toml", DIGITS_IN_TOML, "vcop.toml: not valid TOML"),
    ("show mas", "mas.toml", rewritten("\n", f"\nn = {'[' * 10_000}\n"), "mas.toml: not valid TOML"),
    (
        "plan vcop",
        "vcop.toml",
        rewritten('backbone = "r3d"', 'backbone = "r4d"'),
        "unknown backbone 'r4d'; choose one of c3d",
    ),
    ("report --records $T/records --out $T/new", "claims/vcop.toml", piped, "claims/vcop.toml: is no regular file"),
    (
        "report --records $T/records --out $T/new",
        "claims/vcop.toml",
        a_folder,
        "claims/vcop.toml: cannot be read: Is a directory",
    ),
    ("report --records $T/records --out $T/new", "claims/vcop.toml", DIGITS_IN_TOML, "vcop.toml: not valid TOML"),
    ("regression vcop --runs $T/new", "golden/vcop.toml", piped, "vcop.toml: is no regular file; restore"),
    ("regression vcop --runs $T/new", "golden/vcop.toml", DIGITS_IN_TOML, "vcop.toml: not valid TOML"),
]


@pytest.mark.parametrize(("command", "name", "spoil", "words"), TABLES, ids=[f"{row[0]} {row[3]}" for row in TABLES])
def test_tables_that_are_none_are_one_line(made, tmp_path, monkeypatch, command, name, spoil, words):
    folder = Path(shutil.copytree(commands.TABLES, tmp_path / "reference_tables"))
    spoil(folder / name)
    monkeypatch.setattr(commands, "TABLES", folder)
    code, _, err = called(command, made)
    refused(code, err, 2, words)


@pytest.mark.parametrize("spoil", [piped, a_folder])
def test_what_is_no_file_is_no_recipe(made, tmp_path, monkeypatch, spoil):
    folder, load = Path(shutil.copytree(recipe.FOLDER, tmp_path / "papers")), recipe.load
    spoil(folder / "vcop/recipe.toml")
    monkeypatch.setattr(recipe, "FOLDER", folder)
    monkeypatch.setattr(recipe, "load", lambda paper, scale: load(paper, scale, folder))
    code, _, err = called("plan vcop", made)
    refused(code, err, 2, "no recipe for paper 'vcop'; papers with a recipe: mas")


# The same through a process of its own, for what lies before `main`.
@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("plan vcop --tables ''", 2, "an empty name"),
        ("report --records $T/piped --out $T/new", 2, "is no regular file"),
        ("compare vcop --records $T/piped", 2, "is no regular file"),
        ("plan vcop --runs $T/\udce9", 2, "its name is not UTF-8"),
        ("plan vcop --tables caf\udce9", 2, "no table 'caf"),
        ("report --records $T/caf\udce9", 2, "no such folder"),
    ],
    ids=str,
)
def test_one_line_of_a_process(made, command, code, words):
    line = [sys.executable, "-m", "harness", *shlex.split(command.replace("$T", str(made)))]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, timeout=LIMIT, check=False)
    refused(done.returncode, done.stderr.decode(), code, words)
