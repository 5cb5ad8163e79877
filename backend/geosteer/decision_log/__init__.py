"""The decision log: a sample of what workers decided and from what, as lines of JSON that can be decided again."""
