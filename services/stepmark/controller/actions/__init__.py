"""What the controller may decide to do, and the objects that it makes. Pure: nothing here talks to anyone."""
