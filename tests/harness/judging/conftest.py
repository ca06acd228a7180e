"""What tests of claims share: the five papers' tables and claims, and a made-up paper's."""

from pathlib import Path

import pytest

from harness import tables
from harness.judging import claims

REFERENCE = Path(__file__).parents[3] / "reference_tables"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "claims"


@pytest.fixture(scope="module")
def papers():
    return tables.load(REFERENCE)


@pytest.fixture(scope="module")
def all_claims():
    return [claim for of_paper in claims.load(REFERENCE / "claims").values() for claim in of_paper]


@pytest.fixture(scope="module")
def small():
    """The made-up paper, under its key."""
    return tables.load(FIXTURES / "tables")


@pytest.fixture(scope="module")
def small_claims():
    return {claim.id: claim for claim in claims.load(FIXTURES / "claims")["small"]}


@pytest.fixture
def claimed(tmp_path):
    """The made-up paper's last claim with another relation, as it would be read from a file."""
    good = (FIXTURES / "claims" / "small.toml").read_text(encoding="utf-8")

    def read(relation: str):
        text = good.replace("relation = 'factorial(3) == 5'", relation)
        assert text != good
        (tmp_path / "small.toml").write_text(text, encoding="utf-8")
        return claims.load(tmp_path)["small"][-1]

    return read
