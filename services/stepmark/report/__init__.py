"""The same result for people: a terminal table, Markdown, one HTML page. Renders a `Summary`; makes no figure."""
