"""The command line. Each command (harness/commands/) gathers its inputs, calls one module, prints; nothing is decided there.

Exit codes: 0 fine; 1 a gating cell or a stage failed, or a committed report is stale; 2 usage, missing data, a bad table.
"""

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from harness import __version__
from harness.commands import papers, running, showing
from harness.errors import StageError, UsageError
from harness.running import door, executors, worker
from harness.words import one_line

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Runs the protocols of self-supervised video papers and judges every cell of their tables.",
)


def main() -> None:
    """Run a command; an error a person can mend is one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever a terminal or a log cannot show is no reason to end.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with door.suite_errors():
            code = app(standalone_mode=False)
    except UsageError as error:
        sys.exit(_complain(str(error), 2))
    except StageError as error:
        sys.exit(_complain(str(error), 1))
    except BrokenPipeError:
        sys.exit(0)
    except typer.Abort:
        sys.exit(1)
    except OSError as error:
        sys.exit(_complain(_of_the_system(error), 2))
    except Exception as error:
        # Usage errors of the option parser: click is typer's own dependency.
        if not hasattr(error, "format_message"):
            raise
        # Without any command there is the help, and no message.
        sys.exit(_complain(error.format_message() or "no command; name one of those above", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


def _of_the_system(error: OSError) -> str:
    if error.errno in worker.TOO_MANY_FILES:
        return executors.too_many_files()
    if error.errno in worker.DISK_FULL:
        return f"{error.filename or 'output'}: the disk is full; free space and run again, finished stages are kept"
    if error.filename is None:
        return f"the system refuses: {error.strerror or error}; run the same command again to go on"
    return f"{error.filename}: {(error.strerror or str(error)).lower()}; check the path"


def _version(asked: bool) -> None:
    if asked:
        print(f"video-ssl-reproductions {__version__}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print name and version.")
    ] = False,
) -> None:
    """What holds for every command."""


# In the order of the help.
COMMANDS: dict[str, Callable[..., object]] = {
    "list": showing.list_papers,
    "show": showing.show,
    "check-data": running.check_data,
    "plan": running.show_plan,
    "run": running.run_paper,
    "compare": showing.compare,
    "report": showing.write_report,
    "evaluate": running.evaluate,
    "export": showing.export,
    "new-paper": papers.write_new,
    "validate": papers.validate,
    "regression": running.run_regression,
    "bless": running.bless,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
