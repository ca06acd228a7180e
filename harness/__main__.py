"""python -m harness."""

from harness.running import signals

if __name__ == "__main__":
    # Before the imports, which take a second.
    with signals.handled():
        from harness.cli import main

        main()
