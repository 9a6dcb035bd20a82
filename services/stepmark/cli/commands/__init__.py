"""What a person can type: one file a verb, with its arguments, options and help.

These files are imported whenever the program starts, so they import the verb's work only when it is called.
"""
