"""`netsurgery`: finds the subcommand, and turns errors into one line and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import netsurgery
from netsurgery.cli import bench, compress, demo, evaluate, export, info, pack, plan, reproduce, run
from netsurgery.errors import NetsurgeryError

COMMANDS = (compress, pack, info, run, bench, export, demo, plan, reproduce, evaluate)
INTERRUPTED = 130  # what shells use for Ctrl-C
UNREAD = 141  # and for a pipe whose reader has gone, such as `head`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 done, 1 refused with a reason, 2 wrong usage, 130 Ctrl-C, 141 nobody reads the output any more.
    """
    parser = argparse.ArgumentParser(prog="netsurgery", description=netsurgery.__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"netsurgery {netsurgery.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    parsed = parser.parse_args(arguments)
    try:
        parsed.run(parsed)
        if sys.stdout is not None:  # as it is where it was closed before we began
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains as it flushes at its end
        return UNREAD
    except (NetsurgeryError, OSError) as error:
        print(f"netsurgery: {_sentence(error)}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"netsurgery: out of memory{f': {error}' if str(error) else ''}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"netsurgery: {str(error) or 'interrupted; files written so far are complete'}.", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("netsurgery"):
            raise
        missing = error.name if find_spec("torch") else "torch"  # which brings others, and is asked for after some
        print(f"netsurgery: this command needs {missing}: pip install 'netsurgery[torch]'", file=sys.stderr)
        return 1
    return 0


def _sentence(error: Exception) -> str:
    """What an error says; of the system's, the path first, and no number."""
    if isinstance(error, NetsurgeryError) or not isinstance(error, OSError) or not error.strerror:
        return str(error)
    said = error.strerror if error.strerror.endswith(".") else f"{error.strerror}."
    if not isinstance(error.filename, str | bytes):
        return said
    goes_on = said[0].islower()  # of the sentences in files.py
    return f"{os.fsdecode(error.filename)}{'' if goes_on else ':'} {said}"


if __name__ == "__main__":
    sys.exit(main())
