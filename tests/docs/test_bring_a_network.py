"""The page "bring a network" does what it says: its files are written, its commands run, in its order and in one folder."""

import ast
import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from suite.backbones.foreign import CONTRACT, OPTIONAL
from suite.video import inputs

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "bring-a-network.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", TEXT, flags=re.DOTALL)


def run(command: str, folder: Path) -> tuple[int, str, str]:
    """Run a command of the page as somebody in that folder would, with the suite at hand: exit code, output, errors."""
    python, *words = shlex.split(command)
    assert python == "python"
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # Loading this checkout's modules is all that it is for: everything else is looked for in the folder.
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_page_from_top_to_bottom(tmp_path):
    commands = 0
    for kind, text in BLOCKS:
        if kind == "python":
            if name := re.match(r"# (\S+\.py)\n", text):
                (tmp_path / name[1]).parent.mkdir(exist_ok=True)
                (tmp_path / name[1]).write_text(text, encoding="utf-8")
            continue
        for command, shown in re.findall(r"\$ (.+)\n((?:(?!\$ ).*\n)*)", text):
            code, out, err = run(command, tmp_path)
            if shown.startswith("error: "):
                assert (code, err.splitlines()[-1]) == (2, shown.strip()), command
            else:
                assert code == 0, f"{command}\n{err}"
                said = "\n".join(line.rstrip() for line in out.splitlines()) + "\n"
                assert doctest.OutputChecker().check_output(shown or "\n", said, doctest.ELLIPSIS), f"{command}\n{said}"
            commands += 1
    assert commands == TEXT.count("\n$ ") > 6
    page = (tmp_path / "pages/imported.md").read_text(encoding="utf-8")
    for backbone in ("r3d", "torchvision:r3d_18", "networks.narrow:Narrow"):
        assert re.search(rf"\| {re.escape(backbone)} +\|", page.replace("\\", ""))
    assert "deviation 0.229 0.224 0.225" in page


def test_the_page_names_the_whole_contract():
    said = set(re.findall(r"^\| `(\w+)", TEXT, flags=re.MULTILINE))
    assert said == {*CONTRACT, *OPTIONAL, "video_input"}


def test_the_input_on_the_page_is_one():
    (written,) = [text for kind, text in BLOCKS if kind == "python" and text.startswith("video_input = ")]
    stated = inputs.stated(ast.literal_eval(written.removeprefix("video_input = ")), "the page")
    assert None not in dict(stated).values()
    assert set(dict(stated)) == set(inputs.NetworkInput.model_fields)
