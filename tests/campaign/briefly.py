"""`python -m harness` with short trainings that write a checkpoint every half second: what a campaign of kills runs.

The environment may say otherwise: BRIEFLY_EPOCHS, BRIEFLY_CHECKPOINT_SECONDS.

The code, the stages and the way they are run are those of the suite; only the recipe's numbers of epochs are smaller.
"""

import os

EPOCHS = int(os.environ.get("BRIEFLY_EPOCHS", "3"))
CHECKPOINT_SECONDS = float(os.environ.get("BRIEFLY_CHECKPOINT_SECONDS", "0.5"))


def run_stage(*words):
    """A stage in its process, as the harness runs it."""
    from harness.running import door

    return door.run_stage(*words, checkpoint_seconds=CHECKPOINT_SECONDS)


def shorter(settings):
    """The same settings with a few epochs wherever there are epochs."""
    if isinstance(settings, dict):
        return {key: EPOCHS if key == "epochs" else shorter(value) for key, value in settings.items()}
    return [shorter(value) for value in settings] if isinstance(settings, list | tuple) else settings


def main() -> None:
    """Run a command of the harness."""
    from harness import cli
    from harness.running import door
    from suite import recipe
    from tests.campaign import briefly

    load = recipe.load

    def shortened(paper: str, scale: str):
        found = load(paper, scale)
        settings = shorter(found.settings.model_dump(exclude_unset=True))
        return found.model_copy(update={"settings": type(found.settings).model_validate(settings)})

    recipe.load, door.run_stage = shortened, briefly.run_stage
    cli.main()


if __name__ == "__main__":
    from harness.running import signals

    with signals.handled():
        main()
