"""What hyperhive can do, without a word about how it looks."""
