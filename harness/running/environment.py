"""Where a number was made: versions, machine, commit, and the switches that can move digits."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "torchvision", "av", "opencv-python-headless", "numpy", "scipy", "scikit-learn")
SWITCHES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")


def describe() -> dict[str, str]:
    """Versions, processor and the determinism switches that are set."""
    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
    }
    found["cores"] = str(os.cpu_count())
    for package in PACKAGES:
        found[package] = metadata.version(package)
    return found | {name: os.environ[name] for name in SWITCHES if name in os.environ}


def commit(folder: Path) -> tuple[str, bool]:
    """(commit, whether code or tables differ from it, new files too); ("unknown", True) outside a git checkout."""
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
        changed = _git(Path(top), "status", "--porcelain", "--", "suite", "harness", "reference_tables")
        return _git(folder, "rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def _git(folder: Path, *words: str) -> str:
    # `status` would lock the index to refresh it, and an editor or a commit beside this run would fail on that.
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
