"""The verbs of the `bench` command, each one function; what it does lives in the module that it calls."""
