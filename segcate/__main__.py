"""Let `python -m segcate` run the command line, as `segcate` does."""

from segcate.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
