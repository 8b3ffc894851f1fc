"""`python -m hyperhive` is `hyperhive`."""

from hyperhive.cli.main import main

if __name__ == "__main__":
    main()
