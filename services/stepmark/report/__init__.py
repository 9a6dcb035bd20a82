"""The same result for people: a terminal table and Markdown. Renders a `Summary`; computes nothing of its own."""
