"""`bench selftest`: the whole harness, from generator to figures, against servers whose truth is known."""
