"""The command line: thin verbs that wire the parts together. Owns exit codes and how errors are said."""
