"""What the verbs do, with parsed arguments: one file a verb, with the name of its file in `commands`."""
