"""Networks from elsewhere in the rows of a table: what they cost, what is refused of them by name, and what makes their keys."""

import sys

import pytest

from harness import plan, tables
from harness.errors import UsageError
from harness.running import door, preparation
from harness.running.door import networks
from tests.suite.backbones.test_foreign import FACTORIES

TABLES = """
[paper]
key = "elsewhere"
title = "A paper"
citation = "Author, A paper, 2020"
{tables}
"""
TABLE = """
[[table]]
id = "{protocol}"
title = "{protocol}"
where = "nowhere"
protocol = "{protocol}"
shared = {{ metric = "{metric}", unit = "percent", better = "high", dataset = "ucf101", {settings} }}
tolerance = {{ points = 3.0, prior_sd = 2.0, reason = "because" }}
columns = [{{ id = "score", label = "score" }}]
rows = [{rows}]
"""
ROW = '{{ id = "{id}", label = "{id}", source = "own", backbone = "{backbone}", weights = "random", values = [50.0] }}'


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A module of networks from elsewhere, by a name of its own: what is known of a network is kept for a process."""
    name = f"planned_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(FACTORIES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def paper(folder, backbones: dict[str, str], *asked: tuple[str, str, str]) -> tables.Paper:
    """Tables of one column, a row for each backbone: (protocol, metric, settings)."""
    rows = ", ".join(ROW.format(id=row, backbone=backbone) for row, backbone in backbones.items())
    written = (TABLE.format(protocol=p, metric=m, settings=s, rows=rows) for p, m, s in asked)
    (folder / "elsewhere.toml").write_text(TABLES.format(tables="".join(written)), encoding="utf-8")
    return tables.load_paper(folder / "elsewhere.toml")


def planned(found: tables.Paper, folder) -> plan.Plan:
    recipe = door.load_recipe("vcop", "tiny")
    return preparation.work_out(found, recipe, None, plan.Request(everything=True), folder / "runs").built


RETRIEVAL = ("clip-retrieval", "top1", "settings = {}")
LAYERS = ("layer-retrieval", "top1", "settings = { layer = 2 }")
FROZEN = ("recognition", "accuracy", 'settings = { finetune_from = "conv3" }')


def test_a_network_of_anybody_costs_what_is_counted_at_the_scales_clips(tmp_path, network, capsys):
    found = paper(tmp_path, {"own": f"{network}:Good", "ours": "r3d"}, RETRIEVAL)
    built = planned(found, tmp_path)
    assert f"{network}:Good is built to see its stages and count what it costs" in capsys.readouterr().err
    features = {stage.config["backbone"]: stage for stage in built.stages.values() if stage.kind == "features"}
    own = features[f"{network}:Good"]
    sizes = next(iter(door.synthetic_data(["ucf101"], door.load_recipe("vcop", "tiny"), tmp_path).facts.values())).sizes
    clips = 10 * sum(sizes[1])
    # One convolution of 4 times 3 kernels of 27 over clips of 8x32x32, in one width alone.
    assert own.gmacs == pytest.approx(clips * 8 * 32 * 32 * 4 * 3 * 27 / 1e9)
    # At a quarter of its width a network of the suite costs a sixteenth.
    assert features["r3d"].gmacs == pytest.approx(clips * 19.89 * (8 * 32 * 32) / (16 * 112 * 112) / 16, rel=1e-3)


def test_code_that_was_changed_makes_other_keys(tmp_path, network):
    found = paper(tmp_path, {"own": f"{network}:Good", "ours": "r3d"}, RETRIEVAL)

    def keys() -> dict[str, str]:
        built = planned(found, tmp_path)
        return {stage.config["backbone"]: stage.key for stage in built.stages.values() if stage.kind == "features"}

    before = keys()
    (tmp_path / f"{network}.py").write_text(FACTORIES + "# changed\n", encoding="utf-8")
    # As in another process.
    networks.network_facts.cache_clear()
    after = keys()
    assert before["r3d"] == after["r3d"]
    assert before[f"{network}:Good"] != after[f"{network}:Good"]


def test_what_a_network_cannot_be_asked_is_left_out_by_name(tmp_path, network):
    names = {"own": f"{network}:Good", "broken": f"{network}:Headless", "ours": "r3d"}
    built = planned(paper(tmp_path, names, RETRIEVAL, LAYERS, FROZEN), tmp_path)
    good, headless = f"{network}:Good", f"network '{network}:Headless': has no conv5_map"
    assert {(one.table, one.row) for one in built.measurements} == {
        ("clip-retrieval", "own"),
        *((table, "ours") for table in ("clip-retrieval", "layer-retrieval", "recognition")),
    }
    assert built.left_out["layer-retrieval", "own"] == (
        f"{good} has no stages conv2 and conv5, but only; layers are not searched with it"
    )
    assert built.left_out["recognition", "own"] == (
        f"{good} does not say what its stage conv3 is made of (stage_modules); nothing is frozen below it"
    )
    for table in ("clip-retrieval", "layer-retrieval", "recognition"):
        assert built.left_out[table, "broken"].startswith(headless)


def test_torchvisions_networks_have_the_stages_of_the_papers(tmp_path):
    built = planned(paper(tmp_path, {"theirs": "torchvision:mc3_18"}, LAYERS, FROZEN), tmp_path)
    assert {one.table for one in built.measurements} == {"layer-retrieval", "recognition"}
    assert not built.left_out


def test_a_name_that_means_nothing_is_told_with_the_row(tmp_path):
    with pytest.raises(
        UsageError, match="elsewhere clip-retrieval row other: unknown backbone 'r4d'; choose one of c3d"
    ):
        planned(paper(tmp_path, {"other": "r4d"}, RETRIEVAL), tmp_path)
