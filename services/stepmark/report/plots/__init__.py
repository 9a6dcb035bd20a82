"""Draw static SVG on the server: strips as wide as their column, and panels.

Colours are classes of the style sheet. This package owns coordinates and nothing else: every figure arrives as it was
analysed. There is no script, and all text from a document goes through `svg.element`, which escapes it.
"""
