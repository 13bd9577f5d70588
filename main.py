"""The original's command line: every flag of ADD4RSC's main.py, translated to a recipe. See `python main.py --help`."""

from add4rsc.cli.legacy import main

if __name__ == "__main__":
    main()
