"""`python -m api` is the command `tanglewatt`."""

from api.starting import main

if __name__ == "__main__":
    main()
