"""One trial by itself: its records in, figures and what they are worth out."""
