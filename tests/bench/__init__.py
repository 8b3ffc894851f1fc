"""How fast hyperhive is: numbers of one run on one machine, beside what the same machine needs at least."""
