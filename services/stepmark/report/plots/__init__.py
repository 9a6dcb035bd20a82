"""Static SVG, drawn on the server: strips as wide as their column, and panels. Colours are classes of the style sheet.

Owns coordinates and nothing else: every figure arrives as it was analysed. No script, no text from a document outside
`svg.element`, which escapes.
"""
