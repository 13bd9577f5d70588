"""`python -m add4rsc`."""

from add4rsc.cli import main

if __name__ == "__main__":
    main()
