"""The journal: a bounded stream of all that can change an answer, by whom, when and why."""
