"""Kills runs of every paper at random moments, goes on with them until they are done, and compares with one never killed.

    python -m tests.campaign.kills [--only vcop,mas] [--kills 200] [--seed 0] [--keep FOLDER]

A run is killed once each time it is started: all its processes at once, a stage's, a loader's, or the main one, by SIGKILL
or SIGTERM. It must end by itself then, leave no process, and when it is done its files must be those of the reference run,
byte for byte but for times and process numbers, with nothing left in the temporary folder or in /dev/shm. 200 kills take
about two hours of two cores.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What of each paper is run: together all kinds of stage that generated data have.
ASKED = {
    "vcop": ("--tables", "table1,table2,table4,figure5,figure6,params", "--rows", "r3d,r3d_vcop,ucf101_to_hmdb51"),
    "vcop-curriculum": (
        "--tables",
        "table1,table4,table6,figure4",
        "--rows",
        "r3d_tl3_sample,r3d_layer5,r3d_ssvcop,c3d_task_based",
    ),
    "skip-clip": ("--tables", "table1,ranking", "--rows", "skip-clip,base"),
    "srop": (
        "--tables",
        "table7,figure4,figure5,views,macs,finetune_epochs_to_plateau",
        "--rows",
        "multi,self_supervised,r21d,r21d_order,pretrained",
    ),
    "mas": ("--tables", "table4,table5,table6,statistics", "--rows", "ours_ucf101,c3d_selfsup,ours,network"),
}
# Who is killed, and how.
KINDS = tuple(
    (victim, sent)
    for victim in ("group", "worker", "loader", "main")
    for sent in (signal.SIGKILL, signal.SIGTERM)
    if (victim, sent) != ("loader", signal.SIGTERM)
)
# Every process of a run has this in its environment, whatever group or session it is in.
MARK = "CAMPAIGN_OF_KILLS"
# Seconds: a run that ends neither by itself nor by a kill hangs; a process that outlives the main one for longer is an orphan.
HANGS, OUTLIVES = 600.0, 15.0
# How names in /dev/shm begin that Python and PyTorch make.
SHARED = ("torch_", "sem.", "psm_", "pymp-")
# Folder of the memo, harness.running.checks.MEMOS.
MEMOS = "checked-files"
# Where times and process numbers stand.
PASSING = re.compile(rb'^ *"(seconds|created)": .*\n', re.MULTILINE)


@dataclass
class Tally:
    """What a campaign found."""

    kills: Counter = field(default_factory=Counter)
    starts: int = 0
    # What should not be, a line each; none where all is well.
    differing: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    FAULTS = ("differing", "lost", "orphans", "hangs", "leftovers", "failures")

    def faults(self) -> list[str]:
        """Everything that should not be."""
        return [f"{name}: {line}" for name in self.FAULTS for line in getattr(self, name)]


class Run:
    """One start of a command of the harness in a folder of its own, with a temporary folder of its own."""

    def __init__(self, folder: Path, words: Iterable[str]):
        self.folder, self.mark = folder, f"{MARK}={folder}"
        folder.mkdir(parents=True, exist_ok=True)
        # The same for every start in a folder, and short, as sockets need it.
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        self.temporary = Path(tempfile.gettempdir(), f"kills-{digest}")
        self.temporary.mkdir(exist_ok=True)
        environment = os.environ | {MARK: str(folder), "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, "-m", "tests.campaign.briefly", *words, "--runs", "runs"]
        self.log = open(folder / "log", "ab")  # noqa: SIM115
        self.main = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def over(self, seconds: float) -> bool:
        """Wait for the main process to end, so long at most; whether it has."""
        try:
            self.main.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def processes(self) -> dict[int, tuple[int, str]]:
        """Processes of this run, by number: the parent's number and the command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        if state != "Z":
                            found[int(entry.name)] = (int(parent), command)
                except OSError:
                    continue
        return found

    def victims(self, who: str) -> list[int]:
        """Processes of a kind: all, the main one, stages' (its children), loaders' (children of those)."""
        if who == "main":
            return [self.main.pid]
        found = {number: at for number, at in self.processes().items() if "resource_tracker" not in at[1]}
        if who == "group":
            return list(found)
        workers = [number for number, (parent, _) in found.items() if parent == self.main.pid]
        if who == "worker":
            return workers
        return [number for number, (parent, _) in found.items() if parent in workers]

    def kill(self, who: str, sent: signal.Signals, draw: random.Random) -> bool:
        """Send a signal to one process of a kind, or to the whole group, as soon as there is one; False when the run ends
        before."""
        while not self.over(0.02):
            victims = sorted(self.victims(who))
            for victim in victims if who == "group" else draw.sample(victims, min(len(victims), 1)):
                try:
                    os.kill(victim, sent)
                except ProcessLookupError:
                    continue
            if victims:
                return True
        return False

    def end(self) -> None:
        """End what is left of it."""
        for number in self.processes():
            os.kill(number, signal.SIGKILL)
        self.main.wait()
        self.log.close()


def reference(folder: Path, words: Iterable[str]) -> float:
    """Make the run that is never killed; returns its seconds."""
    started = time.monotonic()
    run = Run(folder, words)
    ended = run.over(HANGS)
    run.end()
    shutil.rmtree(run.temporary)
    if not ended or run.main.returncode != 0:
        raise SystemExit(f"the reference run failed; see {folder / 'log'}")
    return time.monotonic() - started


def killed(folder: Path, words: Iterable[str], draw: random.Random, most: int, seconds: float, tally: Tally) -> int:
    """Start a run again and again until it is done, killing it `most` times at most; returns the number of kills."""
    kills, shared = 0, set(_shared_memory())
    while True:
        run = Run(folder, words)
        tally.starts += 1
        struck = ""
        # A run gets on between two kills: half of what is left is done in a quarter of the whole on average.
        if kills < most and not run.over(draw.uniform(0, seconds / 2)):
            who, sent = draw.choice(KINDS)
            if run.kill(who, sent, draw):
                struck, kills = f"{sent.name} of {who}", kills + 1
                tally.kills[struck] += 1
        where = f"{folder.name}, start {tally.starts}, {struck or 'not killed'}"
        if not run.over(HANGS):
            tally.hangs.append(where)
        elif orphans := _outlived(run):
            tally.orphans += [f"{where}: {command}" for _, command in orphans.values()]
        run.end()
        if run.main.returncode == 0:
            break
        if not struck or (tally.hangs and tally.hangs[-1] == where):
            tally.failures.append(f"{where}: exit code {run.main.returncode}; see {folder / 'log'}")
            return kills
    # PyTorch makes a cache there, one for all runs of a user.
    left = (path for path in sorted(run.temporary.iterdir()) if not path.name.startswith("torchinductor"))
    tally.leftovers += [f"{folder.name}: {path}" for path in left]
    shutil.rmtree(run.temporary)
    tally.leftovers += [f"{folder.name}: {path}" for path in sorted(set(_shared_memory()) - shared)]
    return kills


def _outlived(run: Run) -> dict[int, tuple[int, str]]:
    """Processes that are there long after the main one."""
    until = time.monotonic() + OUTLIVES
    while (found := run.processes()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def _shared_memory() -> list[str]:
    """Names of ours in /dev/shm that no living process has open or mapped."""
    used = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                used |= set(re.findall(r"/dev/shm/\S+", (process / "maps").read_text(errors="replace")))
                used |= {os.readlink(one) for one in (process / "fd").iterdir()}
            except OSError:
                continue
    found = (path for path in Path("/dev/shm").glob("*") if path.name.startswith(SHARED))
    return [str(path) for path in found if str(path) not in used]


def compare(folder: Path, expected: Path, tally: Tally) -> int:
    """Hold a finished run against the reference; returns the number of files compared."""
    ours, theirs = contents(folder / "runs"), contents(expected / "runs")
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            how = "differs" if name in ours and name in theirs else "missing" if name in theirs else "is extra"
            tally.differing.append(f"{folder.name}: {name} {how}")
            if how == "missing" and name.startswith("records/"):
                tally.lost.append(f"{folder.name}: {name}")
    return len(theirs)


def contents(runs: Path) -> dict[str, bytes]:
    """Every file below, without times; not the lock's process number, nor the memo of checks, which only saves time."""
    paths = (path for path in runs.rglob("*") if path.is_file() and path.name != ".lock" and path.parts[-3] != MEMOS)
    return {str(path.relative_to(runs)): PASSING.sub(b"", path.read_bytes()) for path in paths}


def campaign(paper: str, words: Iterable[str], kills: int, seed: int, scratch: Path) -> tuple[Tally, int, float]:
    """Kill runs of a paper `kills` times in all; returns what was found, files compared, and seconds of the reference."""
    words = ["run", paper, *words, "--device", "cpu", "--workers", "1"]
    tally, files, done = Tally(), 0, 0
    seconds = reference(scratch / f"{paper}-reference", words)
    draw = random.Random(f"{paper} {seed}")
    for number in range(kills):
        folder = scratch / f"{paper}-{number}"
        done += killed(folder, words, draw, kills - done, seconds, tally)
        files += compare(folder, scratch / f"{paper}-reference", tally)
        if done >= kills or tally.hangs or tally.failures:
            break
        if not tally.faults():
            shutil.rmtree(folder)
    return tally, files, seconds


def main() -> int:
    """The campaign as a command; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ASKED), help="papers, comma-separated")
    parser.add_argument("--kills", type=int, default=200, help="in all, shared among the papers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the runs; else a temporary one that is removed")
    asked = parser.parse_args()
    papers = asked.only.split(",")
    faults = []
    print(f"{'paper':16}{'kills':>6}{'starts':>7}{'files':>7}", *(f"{name:>10}" for name in Tally.FAULTS), flush=True)
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        scratch = (asked.keep or Path(temporary)).resolve()
        for place, paper in enumerate(papers):
            kills = asked.kills // len(papers) + (place < asked.kills % len(papers))
            tally, files, seconds = campaign(paper, ASKED[paper], kills, asked.seed, scratch)
            found = (f"{len(getattr(tally, name)):10}" for name in Tally.FAULTS)
            print(f"{paper:16}{tally.kills.total():6}{tally.starts:7}{files:7}", *found, flush=True)
            print("  ", ", ".join(f"{kind}: {count}" for kind, count in sorted(tally.kills.items())), flush=True)
            print(f"   reference run: {seconds:.0f} s", flush=True)
            faults += tally.faults()
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
