"""`python -m lancio`: the same as the command `lancio`."""

from lancio.cli.main import main

if __name__ == "__main__":
    main()
