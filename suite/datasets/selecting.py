"""A part of a dataset: some of its classes, and so many videos of each class of every list."""

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from suite.datasets import Description, Listing, Selection, Split, Video
from suite.errors import InputError

# Names of classes that an error shows.
MOST_NAMED = 5


class Shares(NamedTuple):
    """What each of several datasets gives to one selection, by name."""

    selections: dict[str, Selection]
    # Why the others give nothing.
    without: dict[str, str]


def shares(
    limit: int, classes: Iterable[str], known: Mapping[str, tuple[str, ...]], untrained: Collection[str] = ()
) -> Shares:
    """What each of several datasets gives to one selection: each the classes that it has.

    Args:
        limit: videos of each class of every list; 0 takes all.
        classes: names; none takes all.
        known: by dataset, the names of its classes; none for a dataset without classes.
        untrained: those without training lists, whose tests leave one video out at a time.

    Raises InputError for a class that none of them has.
    """
    asked = tuple(dict.fromkeys(classes))
    if not limit and not asked:
        return Shares({}, {})
    every = [one for own in known.values() for one in own]
    for one in asked:
        if one not in every:
            raise InputError(f"{one!r} is no class of {' or '.join(known)}; {_near(one, every)}")
    selections, without = {}, {}
    for name, own in known.items():
        chosen = set(asked or own) & set(own)
        if not own:
            without[name] = (
                f"{name}: its videos have no classes, so no part of them can be taken; measure it without --limit and "
                f"--classes"
            )
        elif not chosen:
            without[name] = f"{name} has none of the classes {', '.join(asked[:MOST_NAMED])}; name some of its own"
        elif name in untrained and (limit == 1 or len(chosen) < 2):
            without[name] = _too_few(name)
        else:
            selections[name] = Selection(limit, tuple(sorted(chosen)) if asked else ())
    return Shares(selections, without)


def select(listing: Listing, about: Description, selection: Selection) -> Listing:
    """What a selection leaves of the lists of a dataset, in their order; its classes are numbered from 0 again.

    Raises InputError for a class that is not there, and where a list is left without a video, or a leave-one-out test
    without another of the class.
    """
    known = {about.name: listing.classes if about.labelled else ()}
    if without := shares(selection.limit, selection.classes, known).without:
        raise InputError(without[about.name])
    chosen = [name for name in listing.classes if name in (selection.classes or listing.classes)]
    labels = {listing.classes.index(name): number for number, name in enumerate(chosen)}

    def taken(videos: tuple[Video, ...]) -> Iterator[Video]:
        counts: Counter[int] = Counter()
        for video in videos:
            counts[video.label] += 1
            if video.label in labels and counts[video.label] <= (selection.limit or counts[video.label]):
                yield replace(video, label=labels[video.label])

    splits = {}
    for number, whole in listing.splits.items():
        split = splits[number] = Split(tuple(taken(whole.train)), tuple(taken(whole.test)))
        for side, before, after in (("training", whole.train, split.train), ("test", whole.test, split.test)):
            if before and not after:
                raise InputError(
                    f"{about.name}: split {number} has no {side} video of {', '.join(chosen[:MOST_NAMED])}"
                )
        if not whole.train and (len(chosen) < 2 or min(Counter(video.label for video in split.test).values()) < 2):
            raise InputError(_too_few(about.name))
    kept = {video.name for split in splits.values() for video in split.videos()}
    return replace(
        listing,
        classes=tuple(chosen),
        splits=splits,
        absent={name: absent for name, absent in listing.absent.items() if name in kept},
        parts={name: tuple(taken(videos)) for name, videos in listing.parts.items()},
    )


def sizes(whole: Mapping[int, tuple[int, int]], classes: int, selection: Selection) -> dict[int, tuple[int, int]]:
    """About how many training and test videos a selection leaves of each split, by their numbers alone, for a plan."""
    taken = len(selection.classes) or classes

    def share(videos: int) -> int:
        of_class = -(-videos // classes)
        return min(videos, min(of_class, selection.limit or of_class) * taken)

    return {number: (share(train), share(test)) for number, (train, test) in whole.items()}


def _too_few(name: str) -> str:
    return (
        f"{name}: has no training videos, so a test leaves one out at a time; take at least two classes and two videos of each "
        f"(--limit 2)"
    )


def _near(name: str, every: list[str]) -> str:
    """The classes that a name may mean, or how they look."""
    folded = {one.casefold(): one for one in every}
    close = difflib.get_close_matches(name.casefold(), folded, n=MOST_NAMED, cutoff=0.5)
    if close:
        return f"near it: {', '.join(folded[one] for one in close)}"
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return f"there are {', '.join(every[:MOST_NAMED])}{more}"
