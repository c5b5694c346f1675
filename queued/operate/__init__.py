"""What operators and producers do from the command line."""
