"""The document that a person writes, and the only code that parses it.

This package owns the `Scenario` model: it reads a scenario from a file and refuses an invalid one with reasons. It does
not know how anything is run, and it imports no framework. Nothing in a scenario can name an image, an environment
variable, a path, a command or a module.
"""
