"""Let `python -m segcate.cli` run the command line."""

from segcate.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
