"""The command line: thin verbs that wire the parts together. It owns the exit codes and the form of error messages.

`commands/` declares what a person can type, one file a verb, and imports nothing heavy before a verb is called.
`verbs/` has a file of the same name for what the verb does. `main` puts the commands together.
"""
