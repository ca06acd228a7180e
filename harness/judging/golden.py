"""Golden numbers: our own results at the tiny scale, held against those of a change. Written only by `bless`.

Results come as {"exact": {name: value}, "near": {name: {"value", "tolerance"}}, "trained": {name: {"value", "chance"}}},
and a number's id is its kind and name, such as exact/counts/ucf101/decoded. Exact numbers must be equal, near ones within
their relative tolerance, trained ones above a floor. A floor lies below the least of several measured scores, over seeds
and instruction sets, by their spread; that is less than half of the way to chance, or the score is too noisy to guard.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, model_validator

from harness import files
from harness.errors import UsageError

KINDS = ("exact", "near", "trained")
# Where kernels differ between processors of one family: ATen's and oneDNN's, with and without AVX2.
INSTRUCTION_SETS = (
    ("ATEN_CPU_CAPABILITY", "avx2"),
    ("ATEN_CPU_CAPABILITY", "default"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("ONEDNN_MAX_CPU_ISA", "SSE41"),
)
# Least number of measured scores that a floor rests on, and least margin below them as a share of the way to chance: a
# spread of nothing would make a floor of the score itself.
LEAST_MEASURED = 6
LEAST_MARGIN = 0.1
# Ids that a line of CHANGES names before it counts the rest.
NAMED = 6


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Near(_Table):
    """A number that moves by rounding; the tolerance is relative."""

    value: float
    tolerance: float = Field(gt=0, le=0.01)

    def holds(self, found: float) -> bool:
        """Whether a number is within the tolerance; NaN is not."""
        return abs(found - self.value) <= self.tolerance * abs(self.value)


class Trained(_Table):
    """A score after training: what chance gives, what was measured in which setting, and the floor that follows."""

    chance: float
    floor: float
    measured: dict[str, float] = Field(min_length=LEAST_MEASURED)

    @model_validator(mode="after")
    def _follows(self) -> "Trained":
        margin = _margin(self.measured, self.chance)
        if self.floor != min(self.measured.values()) - margin:
            raise ValueError(f"floor {self.floor} does not follow from the measured scores")
        if margin >= (min(self.measured.values()) - self.chance) / 2:
            raise ValueError(f"the spread of {margin:.3g} is not below half of the way to chance ({self.chance:.3g})")
        return self


Exact = StrictInt | StrictStr | list[StrictInt]
# Kind -> name -> an exact number, or what is above for the others.
Results = dict[str, dict[str, Any]]


class Golden(_Table):
    """The golden numbers of one paper, by kind and name."""

    paper: str
    exact: dict[str, Exact] = {}
    near: dict[str, Near] = {}
    trained: dict[str, Trained] = {}

    def numbers(self) -> dict[str, Exact | Near | Trained]:
        """Every golden number by its id."""
        return {f"{kind}/{name}": number for kind in KINDS for name, number in getattr(self, kind).items()}


@dataclass(frozen=True)
class Verdict:
    """Whether one golden number holds, and why not."""

    paper: str
    id: str
    holds: bool
    reason: str

    def line(self) -> str:
        """One line that names the number."""
        return f"{'holds' if self.holds else 'FAILS'}  {self.paper} {self.id}: {self.reason}"


def papers(tables: Path) -> list[str]:
    """Keys of the papers that have golden numbers. Raises UsageError where none has."""
    found = sorted(path.stem for path in (tables / "golden").glob("*.toml"))
    if not found:
        raise UsageError(f"{tables / 'golden'}: no golden numbers; write them with `python -m harness bless PAPER ...`")
    return found


def load(path: Path) -> Golden:
    """Read a file of golden numbers. Raises UsageError, one line, if it is missing or malformed."""
    command = f"`python -m harness bless {path.stem} --reason ...`"
    if not path.exists():
        raise UsageError(f"{path}: no golden numbers; write them with {command}")
    try:
        golden = Golden.model_validate(files.toml(path))
    except UsageError as error:
        raise UsageError(f"{error}; restore the file, it is written by {command}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join(str(part) for part in first["loc"][:2])
        raise UsageError(f"{path}: {where}: {first['msg']}; restore the file, it is written by {command}") from None
    if golden.paper != path.stem:
        raise UsageError(f"{path}: holds the numbers of {golden.paper!r}; restore the file, it is written by {command}")
    return golden


def judge(golden: Golden, results: Results) -> list[Verdict]:
    """Hold results against golden numbers: a verdict for each number that either side has, in the order of the file."""
    found = {f"{kind}/{name}": value for kind in KINDS for name, value in results[kind].items()}
    expected = golden.numbers()
    verdicts = [_judge(golden.paper, key, number, found.get(key)) for key, number in expected.items()]
    new = (key for key in found if key not in expected)
    return verdicts + [Verdict(golden.paper, key, False, "has no golden number: bless it") for key in new]


def _judge(paper: str, key: str, number: Exact | Near | Trained, found: Any) -> Verdict:
    if found is None:
        return Verdict(paper, key, False, "its result is missing")
    if isinstance(number, Near):
        value = found["value"]
        off = abs(value - number.value) / abs(number.value) if number.value else math.inf
        said = f"{value!r}, golden {number.value!r}, off by {off:.1e} of {number.tolerance:.0e}"
        return Verdict(paper, key, number.holds(value), said)
    if isinstance(number, Trained):
        value = found["value"]
        said = f"{value:.6g}, floor {number.floor:.6g}, chance {number.chance:.6g}"
        return Verdict(paper, key, value >= number.floor, said)
    # True == 1 == 1.0, and none of them is the other here.
    same = type(found) is type(number) and found == number
    return Verdict(paper, key, same, _shown(found) if same else f"{_shown(found)}, golden {_shown(number)}")


def _shown(value: object) -> str:
    """A value as the file writes it."""
    return json.dumps(value) if isinstance(value, str | list) else repr(value)


def checked_reason(reason: str) -> str:
    """The reason for a change on one line. Raises UsageError if there is none."""
    if not reason.strip():
        raise UsageError("--reason is empty: say why the numbers moved; it becomes a line in reference_tables/CHANGES")
    return " ".join(reason.split())


def bless(
    tables: Path, paper: str, results: Results, reason: str, measured: dict[str, dict[str, float]] | None = None
) -> list[str]:
    """Take results as the golden numbers of a paper: write `golden/<paper>.toml` and a line in `CHANGES`.

    A near number that still holds keeps its golden value. Trained ones are set from `measured` (name -> setting ->
    score); without it they stay, and must hold.

    Args:
        tables: folder of the reference tables.

    Returns the changes, a line each. Raises UsageError, and writes nothing, if there is no reason or no change, a result
    is NaN or infinite, or a trained score needs measuring or is too noisy.
    """
    reason = checked_reason(reason)
    path = tables / "golden" / f"{paper}.toml"
    old = load(path) if path.exists() else Golden(paper=paper)
    _refuse_broken(results, measured or {})
    new = Golden(
        paper=paper,
        exact=results["exact"],
        near={name: _near(old.near.get(name), found) for name, found in results["near"].items()},
        trained={name: _trained(name, old, found, measured) for name, found in results["trained"].items()},
    )
    changes = list(_changes(old.numbers(), new.numbers()))
    if not changes:
        raise UsageError(f"{path}: every golden number holds; there is nothing to bless")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(_written(new), encoding="utf-8")
    beside.replace(path)
    ids = [change.split(":")[0] for change in changes]
    named = ", ".join(ids[:NAMED]) + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")
    with open(tables / "CHANGES", "a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%d} {paper}: {reason} ({named})\n")
    return changes


def _refuse_broken(results: Results, measured: dict[str, dict[str, float]]) -> None:
    """Raise UsageError for the first result that is not finite."""
    numbers = {f"exact/{name}": value for name, value in results["exact"].items()}
    numbers |= {f"{kind}/{name}": found["value"] for kind in KINDS[1:] for name, found in results[kind].items()}
    numbers |= {f"trained/{name} at {where}": score for name, of in measured.items() for where, score in of.items()}
    for key, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{key} is {value}: a broken result is not blessed")


def _near(old: Near | None, found: dict[str, float]) -> Near:
    new = Near(**found)
    return old if old and old.tolerance == new.tolerance and old.holds(new.value) else new


def _trained(name: str, old: Golden, found: dict[str, float], measured: dict[str, dict[str, float]] | None) -> Trained:
    before = old.trained.get(name)
    if measured is None:
        if before is None or before.chance != found["chance"] or not found["value"] >= before.floor:
            raise UsageError(
                f"trained/{name} is {found['value']:.6g} and has no floor that it holds; "
                f"add --measure, which trains over seeds and instruction sets"
            )
        return before
    scores = measured[name]
    try:
        return Trained(
            chance=found["chance"], floor=min(scores.values()) - _margin(scores, found["chance"]), measured=scores
        )
    except ValidationError as error:
        raise UsageError(f"trained/{name}: {error.errors()[0]['msg']}; train longer or measure more") from None


def _margin(measured: dict[str, float], chance: float) -> float:
    """How far a floor lies below the least score: by the spread of the scores, and by some of the way to chance."""
    low, high = min(measured.values()), max(measured.values())
    return max(high - low, LEAST_MARGIN * (low - chance))


def _changes(old: dict[str, Exact | Near | Trained], new: dict[str, Exact | Near | Trained]) -> Iterator[str]:
    for key in old | new:
        if key not in old:
            yield f"{key}: new, {_brief(new[key])}"
        elif key not in new:
            yield f"{key}: gone, was {_brief(old[key])}"
        elif old[key] != new[key]:
            yield f"{key}: {_brief(old[key])} -> {_brief(new[key])}"


def _brief(number: object) -> str:
    if isinstance(number, Near):
        return repr(number.value)
    return f"floor {number.floor:.6g}" if isinstance(number, Trained) else _shown(number)


def _written(golden: Golden) -> str:
    """The file: floats in full precision, names in quotes."""
    lines = [
        "# Golden numbers of the tiny scale. Do not edit: written by",
        f"# `python -m harness bless {golden.paper} --reason ...`, held by `tox -e regression`.",
        f"paper = {json.dumps(golden.paper)}",
        "",
        "[exact]",
        *(f"{json.dumps(name)} = {_shown(value)}" for name, value in golden.exact.items()),
        "",
        "# tolerance is relative",
        "[near]",
        *(
            f"{json.dumps(name)} = {{ value = {near.value!r}, tolerance = {near.tolerance!r} }}"
            for name, near in golden.near.items()
        ),
    ]
    for name, trained in golden.trained.items():
        lines += ["", f"[trained.{json.dumps(name)}]", f"chance = {trained.chance!r}", f"floor = {trained.floor!r}"]
        lines += [f"measured.{json.dumps(where)} = {score!r}" for where, score in trained.measured.items()]
    return "\n".join(lines) + "\n"
