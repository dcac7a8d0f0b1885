"""`python -m cospair` is the command line."""

from cospair.cli import main

if __name__ == "__main__":
    main()
