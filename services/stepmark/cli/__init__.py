"""The command line: thin verbs that wire the parts together. It owns the exit codes and the form of error messages."""
