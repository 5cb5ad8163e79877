"""What runs where clients are answered: the trie, the tier, the decision and the front ends."""
