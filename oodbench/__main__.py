"""`python -m oodbench` is the command line."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Runs the command line; Ctrl-C ends its import in one sentence, too."""
    try:
        from oodbench.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
