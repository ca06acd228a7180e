"""What commands share: papers, claims, records and pages by their places, and words for a terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness import commands
from harness import tables as reference
from harness.errors import UsageError
from harness.records import Record, Store
from harness.running import door, preparation
from harness.words import seen

if TYPE_CHECKING:
    from harness.judging.claims import Claim
    from harness.reporting.report import Report


def paper_of(key: str) -> reference.Paper:
    """The tables of one paper. Raises UsageError, listing the papers, for an unknown key."""
    return preparation.paper_of(key, commands.TABLES)


def say(words: str) -> None:
    """Print what may hold words of records and names of files: a terminal takes none of them for commands."""
    print(seen(words))


def all_claims() -> "dict[str, list[Claim]]":
    """The claims of all papers, by key."""
    from harness.judging import claims

    return claims.load(commands.TABLES / "claims", door.elsewhere("claims.toml"))


def claims_of(key: str) -> "list[Claim]":
    """The claims of one paper, whatever those of papers elsewhere hold; it may have none."""
    from harness.judging import claims

    elsewhere = {paper: path for paper, path in door.elsewhere("claims.toml").items() if paper == key}
    return claims.load(commands.TABLES / "claims", elsewhere).get(key, [])


def pages_of(
    papers: dict[str, reference.Paper],
    records: list[Record],
    claims: "dict[str, list[Claim]]",
    store: Store,
    folder: Path,
) -> "Report":
    """The pages of these records, which are all of the papers' that the store has."""
    from harness.reporting import report

    return report.build(
        papers,
        records,
        claims,
        preparation.recipes(papers),
        folder=folder,
        store=store.folder,
        protocol_versions=door.protocol_versions(papers),
    )


def existing(records: Path, option: str = "--records") -> Path:
    """A folder of records that is there. Raises UsageError otherwise."""
    if not records.is_dir():
        raise UsageError(f"{records}: no such folder of records; run a paper first, or give {option}")
    return records
