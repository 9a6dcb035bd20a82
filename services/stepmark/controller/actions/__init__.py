"""The actions that the controller may decide on, and the objects that it creates. Nothing here does any I/O."""
