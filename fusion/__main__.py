"""`python -m fusion` is the command `fusion`."""

from fusion.cli import main

if __name__ == "__main__":  # workers import it by another name
    raise SystemExit(main())
