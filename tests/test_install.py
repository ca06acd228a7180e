"""What `pip install -e .` brings: as setuptools reads it, without a network."""

from pathlib import Path

from setuptools.config.pyprojecttoml import apply_configuration
from setuptools.dist import Distribution

from harness import __version__

ROOT = Path(__file__).parents[1]


def named(file: str) -> list[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_an_install_has_the_version_every_package_and_what_they_need(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = apply_configuration(Distribution(), ROOT / "pyproject.toml")
    assert found.metadata.version == __version__
    assert found.install_requires == named("requirements.txt")
    assert found.extras_require == {"dev": named("requirements-dev.txt")}
    there = {path.parent for top in ("harness", "suite") for path in (ROOT / top).rglob("__init__.py")}
    assert set(found.packages) == {path.relative_to(ROOT).as_posix().replace("/", ".") for path in there}
