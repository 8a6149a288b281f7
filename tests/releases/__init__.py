"""What earlier releases left behind, kept to see that this one goes on from it."""
