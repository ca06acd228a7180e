"""Provenance: the commit, and whether the code differs from it."""

import subprocess

from harness.running import environment


def git(folder, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_changed_and_a_new_file_make_the_code_dirty(tmp_path):
    for name in ("harness", "suite"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("one = 1\n", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    # Asked from a folder below, as the harness does.
    assert environment.commit(tmp_path / "harness") == (head, False)
    (tmp_path / "README").write_text("not code\n", encoding="utf-8")
    assert environment.commit(tmp_path / "harness") == (head, False)
    (tmp_path / "suite/a.py").write_text("one = 2\n", encoding="utf-8")
    assert environment.commit(tmp_path / "harness") == (head, True)
    git(tmp_path, "checkout", "-q", "suite/a.py")
    (tmp_path / "suite/b.py").write_text("two = 2\n", encoding="utf-8")
    assert environment.commit(tmp_path / "harness") == (head, True)


def test_outside_a_checkout(tmp_path):
    assert environment.commit(tmp_path) == ("unknown", True)


def test_versions_and_switches(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = environment.describe()
    assert found["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert found["torch"][0].isdigit()
    assert int(found["cores"]) >= 1
