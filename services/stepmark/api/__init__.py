"""The names of `import stepmark`: `run`, `load`, `validate`, and the `Result` that they give.

The package's own `__init__` imports this one when a name is first used. It stands on `runs`, as the command line does,
and decides nothing itself. docs/python.md lists every public name.
"""
