"""What will be measured, in which order, and how long it takes. Pure: no file, process or framework is touched."""
