"""compare and report over 10,000 records, in CPU seconds and as a ratio to parsing the same files in one run."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import store

ROOT = Path(__file__).parents[2]
RECORDS = 10_000


def cpu_seconds(*command: str) -> float:
    """User and system seconds of one command, its start included; CPU seconds, so that a busy machine does not decide."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "harness", *command],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The report was never written, so each of its files is stale.
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def parsed(folder: Path) -> float:
    """CPU seconds of the standard library's JSON over all records."""
    begun = time.process_time()
    for path in sorted(folder.rglob("*.json")):
        json.loads(path.read_bytes())
    return time.process_time() - begun


@pytest.mark.benchmark(group="report")
def test_ten_thousand_records_against_parsing_them(benchmark, tmp_path, capsys):
    records = tmp_path / "records"
    store.write(records, RECORDS)
    assert sum(1 for _ in records.rglob("*.json")) == RECORDS
    judged = ("report", "--check", "--records", str(records), "--out", str(tmp_path / "reports"))
    seconds = {"report": [], "compare": [], "parse": []}

    def measured():
        seconds["parse"].append(parsed(records))
        seconds["report"].append(cpu_seconds(*judged))
        seconds["compare"].append(cpu_seconds("compare", "vcop", "--records", str(records)))

    benchmark.pedantic(measured, rounds=3)
    parse, report, compare = (min(seconds[name]) for name in ("parse", "report", "compare"))
    ratio = (report + compare) / parse
    benchmark.extra_info.update(
        report_seconds=round(report, 2), compare_seconds=round(compare, 2), times_parsing=round(ratio, 2)
    )
    with capsys.disabled():
        print(
            f"\n{RECORDS} records: report {report:.2f} s, compare of one paper {compare:.2f} s of CPU, "
            f"together {ratio:.1f} times the {parse:.2f} s that json takes to parse the files"
        )
    # 4 to 5 were seen; before records were read and judged in bulk it was 7.
    assert ratio < 6
