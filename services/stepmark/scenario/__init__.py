"""The document that a person writes, and the only code that parses it.

Owns: the `Scenario` model, reading it from a file, refusing it with reasons. Does not know how anything is run, and
imports no framework. Nothing in a scenario can name an image, an environment variable, a path, a command or a module.
"""
